//! Lets a call through to its method if the caller's role suffices for it, and there is room.

use std::{
    future::{Ready, ready},
    task::{Context, Poll},
};

use futures_util::future::Either;
use tonic::{
    Status,
    body::Body,
    codegen::http::{Request, Response},
};
use tower::{Layer, Service};

use super::admit::shed;
use crate::{
    code::Code,
    domain::role::Role,
    link::acceptor::Peer,
    resilience::admission::{Admission, SHED},
    wire::{access, fault::Fault},
};

/// Guards the service within.
#[derive(Debug, Clone)]
pub struct Authorize(pub Admission);

/// A service that is guarded.
#[derive(Debug, Clone)]
pub struct Authorized<S>(S, Admission);

impl<S> Layer<S> for Authorize {
    type Service = Authorized<S>;

    fn layer(&self, inner: S) -> Authorized<S> {
        Authorized(inner, self.0.clone())
    }
}

impl<S> Service<Request<Body>> for Authorized<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match authorize(&request).and_then(|()| room(&request, &self.1)) {
            Ok(()) => Either::Left(self.0.call(request)),
            Err(status) => Either::Right(ready(Ok(status.into_http()))),
        }
    }
}

/// Turns a call away before its signature is looked at, if nobody of its class gets in any more.
fn room(request: &Request<Body>, door: &Admission) -> Result<(), Status> {
    match access::class(request.uri().path()) {
        Some(class) if door.full(class) => Err(shed(SHED, class)),
        _ => Ok(()),
    }
}

fn authorize(request: &Request<Body>) -> Result<(), Status> {
    let path = request.uri().path();
    // What has no role is refused even if something would answer it.
    let needed = access::method(path).ok_or_else(|| Status::unimplemented(""))?;
    let peer = request.extensions().get::<Peer>();
    let role = peer.and_then(|peer| peer.role);
    let method = path.rsplit('.').next().unwrap_or(path).replace('/', ".");
    check(role, needed, &method).inspect_err(|_| {
        let user = peer.map_or("", |peer| &peer.user);
        tracing::info!(user, method, "refused a call");
    })?;
    Ok(())
}

/// Whether who has that role, if any, may do what is named `what`.
///
/// # Errors
/// If not: what is needed.
pub fn check(role: Option<Role>, needed: Role, what: &str) -> Result<(), Fault> {
    if role.is_some_and(|role| role.may(needed)) {
        return Ok(());
    }
    let whose = match role {
        Some(role) => format!("the role {role} may not call {what}"),
        None => format!("a certificate without a role may not call {what}"),
    };
    let text = format!(
        "{whose}, which needs {needed}; ask who runs the daemon for a certificate of that role \
         (`darwin pki issue NAME --role {needed}`)"
    );
    Err(Fault::new(Code::Denied, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::session::Session;

    fn call(path: &str, role: Option<Role>) -> Result<(), Status> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = path.parse().unwrap();
        let address = ([127, 0, 0, 1], 1).into();
        let (_, session) = Session::pair();
        request.extensions_mut().insert(Peer { address, user: "ada".into(), role, session });
        authorize(&request)
    }

    #[test]
    fn a_refusal_names_role_and_method_and_what_is_needed() {
        let denied = call("/darwin.v1.Runs/Start", Some(Role::Reader)).unwrap_err();
        assert_eq!(denied.code(), tonic::Code::PermissionDenied);
        for part in ["role reader", "Runs.Start", "needs user", "darwin pki issue"] {
            assert!(denied.message().contains(part), "{}", denied.message());
        }
        let none = call("/darwin.v1.Runs/List", None).unwrap_err();
        assert!(none.message().contains("without a role"), "{}", none.message());
        call("/darwin.v1.Runs/Start", Some(Role::User)).unwrap();
    }

    #[test]
    fn what_needs_no_role_that_is_known_is_answered_to_nobody() {
        for path in ["/darwin.v1.Runs/Drop", "/grpc.reflection.v1.ServerReflection/Info", "/"] {
            let status = call(path, Some(Role::Operator)).unwrap_err();
            assert_eq!(status.code(), tonic::Code::Unimplemented, "{path}");
        }
    }

    #[test]
    fn a_caller_of_whom_nothing_is_known_is_refused() {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = "/darwin.v1.Runs/List".parse().unwrap();
        assert_eq!(authorize(&request).unwrap_err().code(), tonic::Code::PermissionDenied);
    }
}
