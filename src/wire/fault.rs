//! Errors on the wire: a stable code and one sentence, in a gRPC status with the standard details
//! (`google.rpc.ErrorInfo` and `RetryInfo`) or a WebSocket frame.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::code::{Code, Retry};

use super::{limits, v1};

/// The domain of the codes, in `google.rpc.ErrorInfo`.
pub const DOMAIN: &str = "darwin";

/// When to try again, where a retry helps and nobody knows better.
const AFTER: Duration = Duration::from_secs(1);

/// An error as it travels: a stable code, and one sentence for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What kind of thing went wrong.
    pub code: Code,
    /// What went wrong and what to do next, in one sentence.
    pub message: String,
    /// When to try again, if that may help.
    pub after: Option<Duration>,
}

impl Fault {
    /// An error of that kind.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let after = (code.retry() == Retry::Temporary).then_some(AFTER);
        Self { code, message: message.into(), after }
    }

    /// The same, to be tried again after that time.
    #[must_use]
    pub fn after(mut self, after: Duration) -> Self {
        self.after = Some(after);
        self
    }

    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        let mut details = ErrorDetails::with_error_info(fault.code.name(), DOMAIN, HashMap::new());
        if fault.after.is_some() {
            details.set_retry_info(fault.after);
        }
        let code = tonic::Code::from_i32(fault.code.grpc());
        Status::with_error_details(code, limits::error_text(&fault.message), details)
    }
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        let named = info.and_then(|info| Code::named(&info.reason));
        // One that says another thing than its status is not ours.
        if let Some(code) = named.filter(|code| code.grpc() == status.code() as i32) {
            let after = details.retry_info().and_then(|retry| retry.retry_delay);
            return Self { after, ..Self::new(code, status.message()) };
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

impl From<&Status> for v1::End {
    fn from(status: &Status) -> Self {
        let details = Bytes::copy_from_slice(status.details());
        Self { code: status.code() as i32, message: status.message().to_owned(), details }
    }
}

impl From<v1::End> for Status {
    fn from(end: v1::End) -> Self {
        Self::with_details(tonic::Code::from_i32(end.code), end.message, end.details)
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
        Self::new(Code::named(&error.code).unwrap_or(Code::Bug), error.message)
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
        let later = Fault::new(Code::Exhausted, "full").after(Duration::from_millis(70));
        assert_eq!(Fault::from(Status::from(later.clone())), later);
    }

    #[test]
    fn a_status_says_in_the_standard_way_what_it_is_and_when_to_try_again() {
        let status = Status::from(Fault::new(Code::Exhausted, "the queue is full"));
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("exhausted", "darwin"));
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(AFTER));
        let status = Status::from(Fault::new(Code::NotFound, "it is not there"));
        assert!(status.get_error_details().retry_info().is_none());
        // Another's codes are not taken for ours, nor one that its status contradicts.
        let other = ErrorDetails::with_error_info("corrupt", DOMAIN, HashMap::new());
        let status = Status::with_error_details(tonic::Code::NotFound, "gone", other);
        assert_eq!(Fault::from(status).code, Code::NotFound);
        let other = ErrorDetails::with_error_info("corrupt", "example.org", HashMap::new());
        let status = Status::with_error_details(tonic::Code::NotFound, "gone", other);
        assert_eq!(Fault::from(status).code, Code::NotFound);
    }

    #[test]
    fn a_status_of_the_library_gets_a_code_that_helps() {
        assert_eq!(Fault::from(Status::unimplemented("")).code, Code::Conflict);
        assert_eq!(Fault::from(Status::unknown("transport error")).code, Code::Unavailable);
        assert_eq!(Fault::from(Status::deadline_exceeded("")).code, Code::Deadline);
    }
}
