//! Errors on the wire: a stable code and one sentence, in a gRPC status or a WebSocket frame.

use tonic::{
    Status,
    metadata::{MetadataMap, MetadataValue},
};

use crate::code::Code;

use super::{limits, v1};

/// The key under which a gRPC status carries the stable code's name.
pub const CODE_KEY: &str = "darwin-code";

/// An error as it travels: a stable code, and one sentence for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What kind of thing went wrong.
    pub code: Code,
    /// What went wrong and what to do next, in one sentence.
    pub message: String,
}

impl Fault {
    /// An error of that kind.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        let mut metadata = MetadataMap::new();
        metadata.insert(CODE_KEY, MetadataValue::from_static(fault.code.name()));
        let code = tonic::Code::from_i32(fault.code.grpc());
        Status::with_metadata(code, limits::error_text(&fault.message), metadata)
    }
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        let named = status.metadata().get(CODE_KEY).and_then(|value| value.to_str().ok());
        if let Some(code) = named.and_then(Code::named) {
            return Self::new(code, status.message());
        }
        // Not from a handler of ours: from the library, or from the connection.
        let said = status.message();
        match status.code() {
            tonic::Code::Unimplemented => Self::new(
                Code::Conflict,
                "the daemon does not know this call: it is of another version; restart it with \
                 `darwin down` and `darwin up`",
            ),
            tonic::Code::OutOfRange | tonic::Code::ResourceExhausted => Self::new(
                Code::InvalidInput,
                format!("the message is larger than {} bytes: {said}", limits::MAX_GRPC_MESSAGE),
            ),
            tonic::Code::DeadlineExceeded => Self::new(
                Code::Deadline,
                "the daemon did not answer in time; `darwin status` tells more",
            ),
            tonic::Code::PermissionDenied | tonic::Code::Unauthenticated => {
                Self::new(Code::Denied, said)
            }
            tonic::Code::InvalidArgument => Self::new(Code::InvalidInput, said),
            tonic::Code::NotFound => Self::new(Code::NotFound, said),
            _ => Self::new(
                Code::Unavailable,
                format!(
                    "the connection to the daemon broke ({}); `darwin status` tells more",
                    chain(&status)
                ),
            ),
        }
    }
}

impl From<Fault> for v1::Error {
    fn from(fault: Fault) -> Self {
        let message = limits::error_text(&fault.message).to_owned();
        Self { code: fault.code.name().to_owned(), message }
    }
}

impl From<v1::Error> for Fault {
    fn from(error: v1::Error) -> Self {
        Self { code: Code::named(&error.code).unwrap_or(Code::Bug), message: error.message }
    }
}

/// The texts of `error` and of what caused it, each said once.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = match error.downcast_ref::<Status>() {
        Some(status) => status.message().to_owned(),
        None => error.to_string(),
    };
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_way_through_a_status_and_a_frame() {
        for code in Code::ALL {
            let fault = Fault::new(code, "the run “x” is not there");
            assert_eq!(Fault::from(Status::from(fault.clone())), fault);
            assert_eq!(Fault::from(v1::Error::from(fault.clone())), fault);
            assert_eq!(Status::from(fault).code() as i32, code.grpc());
        }
    }

    #[test]
    fn a_status_of_the_library_gets_a_code_that_helps() {
        assert_eq!(Fault::from(Status::unimplemented("")).code, Code::Conflict);
        assert_eq!(Fault::from(Status::unknown("transport error")).code, Code::Unavailable);
        assert_eq!(Fault::from(Status::deadline_exceeded("")).code, Code::Deadline);
    }
}
