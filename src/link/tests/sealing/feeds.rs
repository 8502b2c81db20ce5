//! Streams of requests, with somebody between both ends.

use std::sync::atomic::Ordering;

use super::{EDITS, Edit, Line, bytes, line, split};
use crate::{
    code::Code,
    link::line::tests::echo::{self, content, say},
    wire::{fault::Fault, v1::rooms_client::RoomsClient},
};

impl Line {
    /// Sends a stream of so many requests, and gives how many came.
    async fn feed(&self, count: u8) -> Result<u64, Fault> {
        let says = (0..count).map(|n| say(vec![n; 400]));
        let says = tokio_stream::iter([echo::enter("count")].into_iter().chain(says));
        let told = RoomsClient::new(self.sealed()).enter(says).await.map_err(Fault::from)?;
        let mut told = told.into_inner();
        told.message().await.map_err(Fault::from)?;
        let came = told.message().await.map_err(Fault::from)?.unwrap();
        Ok(u64::from_be_bytes(content(came)[..].try_into().unwrap()))
    }
}

#[tokio::test]
async fn a_stream_of_requests_comes_through_or_is_no_whole_one() {
    for count in [0, 1, 9] {
        assert_eq!(line().feed(count).await, Ok(u64::from(count)));
    }
    let one_more: Edit = |messages| messages.push(messages[1].clone());
    for (how, edit) in EDITS.into_iter().chain([("with one more", one_more)]) {
        let request = bytes(move |whole| {
            let mut messages = split(whole);
            assert_eq!(messages.len(), 7, "the first, five, and the end");
            edit(&mut messages);
            *whole = messages.concat();
        });
        let line = Line { request, ..line() };
        let fault = line.feed(5).await.unwrap_err();
        assert_eq!(fault.code(), Code::Corrupt, "{how}: {fault}");
        assert_eq!(line.echo.ended.load(Ordering::Relaxed), 0, "{how}");
    }
    for at in 0..300 {
        let request = bytes(move |whole| {
            let first: usize = split(whole).iter().take(2).map(Vec::len).sum();
            let at = first + 5 + at;
            whole[at] ^= 1 << (at % 8);
        });
        let line = Line { request, ..line() };
        let fault = line.feed(5).await.unwrap_err();
        assert!(matches!(fault.code(), Code::Corrupt | Code::Denied), "{at}: {fault}");
        let came = line.echo.came.load(Ordering::Relaxed);
        assert!(came <= 1, "{came} of one came, {at}");
    }
}
