//! What a call's error is believed, with somebody between both ends.

use std::sync::Arc;

use tonic::codegen::http::HeaderMap;

use super::{Line, line};
use crate::{
    code::Code,
    wire::{fault::Fault, v1, v1::operations_client::OperationsClient},
};

impl Line {
    /// Both errors of the daemon as the client hears them: one that is all of an answer, and one
    /// that ends a stream.
    async fn errors(&self) -> [Fault; 2] {
        let mut operations = OperationsClient::new(self.sealed());
        let alone = operations.verify_store(v1::VerifyStoreRequest {}).await.unwrap_err();
        [alone.into(), self.export("2!").await.unwrap_err()]
    }

    fn telling(change: impl Fn(&mut HeaderMap) + Send + Sync + 'static) -> Self {
        Self { errors: Arc::new(change), ..line() }
    }
}

#[tokio::test]
async fn an_error_is_what_the_daemon_signed_whatever_stands_beside_it() {
    let told = line().errors().await;
    assert_eq!(told.clone().map(|fault| fault.code), [Code::Sandbox, Code::Corrupt]);
    let beside = Line::telling(|headers| {
        headers.insert("grpc-status", "5".parse().unwrap());
        headers.insert("grpc-message", "it is not there".parse().unwrap());
    });
    assert_eq!(beside.errors().await, told);
}

#[tokio::test]
async fn an_error_that_was_touched_is_none_of_the_daemons() {
    for at in 0..300 {
        let touched = Line::telling(move |headers| {
            let mut sealed = headers["darwin-error-bin"].as_bytes().to_vec();
            let at = at % (sealed.len() - 1);
            sealed[at] = if sealed[at] == b'A' { b'B' } else { b'A' };
            headers.insert("darwin-error-bin", sealed.try_into().unwrap());
        });
        for fault in touched.errors().await {
            assert!(matches!(fault.code, Code::Corrupt | Code::Denied), "{at}: {fault}");
            assert!(!fault.message.contains("the segment is damaged"), "{at}: {fault}");
        }
    }
}

#[tokio::test]
async fn an_error_of_another_call_is_refused() {
    let first = Arc::new(std::sync::Mutex::new(None));
    let line = Line::telling(move |headers| {
        let mut first = first.lock().unwrap();
        let kept = first.get_or_insert_with(|| headers.clone());
        headers.clone_from(kept);
    });
    line.errors().await;
    for fault in line.errors().await {
        assert_eq!(fault.code, Code::Denied);
        assert!(fault.message.contains("another") || fault.message.contains("answer"), "{fault}");
    }
}

#[tokio::test]
async fn an_error_without_a_signature_says_only_that_the_call_was_turned_away() {
    let bare = |status: &'static str| {
        Line::telling(move |headers| {
            headers.remove("darwin-error-bin");
            headers.remove("grpc-status-details-bin");
            headers.insert("grpc-status", status.parse().unwrap());
        })
    };
    for status in ["2", "5", "6", "9", "10", "13"] {
        for fault in bare(status).errors().await {
            assert_eq!(fault.code, Code::Denied, "{status}: {fault}");
            assert!(fault.message.contains("not signed"), "{status}: {fault}");
        }
    }
    for (status, code) in [("14", Code::Unavailable), ("7", Code::Denied)] {
        for fault in bare(status).errors().await {
            assert_eq!(fault.code, code);
            assert!(!fault.message.contains("not signed"), "{status}: {fault}");
        }
    }
    // Details that its status contradicts are none.
    let contradicted = Line::telling(|headers| {
        headers.remove("darwin-error-bin");
        headers.insert("grpc-status", "14".parse().unwrap());
    });
    assert_eq!(contradicted.errors().await.map(|fault| fault.code), [Code::Unavailable; 2]);
}
