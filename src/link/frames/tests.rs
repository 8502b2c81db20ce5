//! Bodies cut anywhere, compressed and torn.

use std::convert::Infallible;

use http_body_util::{BodyExt as _, StreamBody};
use proptest::prelude::*;
use tokio_stream::iter;

use super::*;

/// Notes what goes by.
#[derive(Default)]
struct Pass {
    ended: Option<bool>,
}

impl Step for Pass {
    fn message(&mut self, packed: bool, message: Bytes) -> Result<Vec<Bytes>, Status> {
        let message = if packed { decompressed(&message)? } else { message };
        Ok(plain([message, Bytes::new()]))
    }

    fn end(&mut self, trailers: Option<&mut HeaderMap>) -> Result<Vec<Bytes>, Status> {
        self.ended = Some(trailers.is_some());
        Ok(plain([Bytes::from_static(b"the end"), Bytes::new()]))
    }
}

fn body(chunks: Vec<Bytes>) -> Body {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let frames = chunks.into_iter().map(Frame::data).chain([Frame::trailers(trailers)]);
    Body::new(StreamBody::new(iter(frames.map(Ok::<_, Infallible>))))
}

async fn passed(chunks: Vec<Bytes>) -> Result<(Bytes, Option<HeaderMap>), Status> {
    let collected = Reframed::new(body(chunks), Pass::default()).collect().await?;
    let trailers = collected.trailers().cloned();
    Ok((collected.to_bytes(), trailers))
}

fn framed(message: &[u8]) -> Bytes {
    plain([Bytes::copy_from_slice(message), Bytes::new()]).concat().into()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

proptest! {
    #[test]
    fn messages_stay_whole_however_they_are_cut(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..6),
        cuts in prop::collection::vec(1_usize..2000, 1..8),
    ) {
        let sent: Bytes = messages.iter().map(|message| framed(message)).collect::<Vec<_>>()
            .concat().into();
        let (mut rest, mut chunks) = (sent.clone(), Vec::new());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            chunks.push(rest.split_to((*cut).min(rest.len())));
        }
        let (out, trailers) = runtime().block_on(passed(chunks)).unwrap();
        prop_assert_eq!(out, [sent, framed(b"the end")].concat());
        prop_assert!(trailers.unwrap().contains_key("grpc-status"));
    }

    #[test]
    fn whatever_is_compressed_comes_back(
        message in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..5000),
            prop::collection::vec(0_u8..3, 0..20_000),
        ],
        at in any::<prop::sample::Index>(),
    ) {
        let message = Bytes::from(message);
        let at = at.index(message.len() + 1);
        let sent = compressed([message.slice(..at), message.slice(at..)]).concat();
        prop_assert!(sent.len() <= message.len() + PREFIX);
        let (out, _) = runtime().block_on(passed(vec![sent.into()])).unwrap();
        prop_assert_eq!(out, [framed(&message), framed(b"the end")].concat());
    }

    #[test]
    fn rubbish_that_claims_to_be_compressed_never_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        if let Ok(found) = decompressed(&bytes) {
            prop_assert!(found.len() <= bytes.len() * RATIO);
        }
    }
}

#[test]
fn only_what_shrinks_is_compressed() {
    let flag = |message: Vec<u8>| compressed([message.into(), Bytes::new()])[0][0];
    assert_eq!(flag(vec![7; MIN_COMPRESSED]), 1);
    assert_eq!(flag(vec![7; MIN_COMPRESSED - 1]), 0);
    let mut random = vec![0; 100_000];
    aws_lc_rs::rand::fill(&mut random).unwrap();
    assert_eq!(flag(random), 0);
}

#[test]
fn sizes_are_checked_before_room_is_made() {
    // A block of four bytes that says it is a gibibyte, and one over the limit.
    for size in [1_u32 << 30, u32::MAX, 5000] {
        let message = [size.to_le_bytes().as_slice(), &[0, 1, 2, 3]].concat();
        assert!(decompressed(&message).is_err(), "{size}");
    }
    let sizes = [[0, 4, 0, 0, 0], [0, 0xff, 0xff, 0xff, 0xff]];
    for prefix in sizes {
        let error = runtime().block_on(passed(vec![Bytes::copy_from_slice(&prefix)]));
        let fault = Fault::from(error.unwrap_err());
        assert_eq!(fault.code(), if prefix[1] == 4 { Code::Corrupt } else { Code::InvalidInput });
    }
}

#[tokio::test]
async fn a_torn_or_strange_message_is_an_error() {
    let whole = framed(b"a message");
    for bad in [whole.slice(..3), whole.slice(..8), vec![2, 0, 0, 0, 0].into()] {
        let error = passed(vec![whole.clone(), bad]).await.unwrap_err();
        assert_eq!(Fault::from(error).code(), Code::Corrupt);
    }
}
