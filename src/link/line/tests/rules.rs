//! What breaks the rules of a line, and who may go on with one.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use tokio::io::DuplexStream;
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use super::{PATIENCE, Pipes, ROOM, echo::enter};
use crate::{
    link::{
        line::{calls::hello_of, serve::Lines},
        session::{Answers, Asking, Session},
    },
    resilience::deadline::within,
    wire::{
        envelope::MAJOR,
        methods::STREAM,
        v1::{self, Frame, Frames, Hello, Open, frame::What},
    },
};

/// A client that says what a test wants.
struct Rude {
    socket: WebSocketStream<DuplexStream>,
    asking: Asking,
    answers: Answers,
}

impl Rude {
    async fn new(pipes: &Pipes) -> Self {
        let (socket, session) = pipes.connect().await;
        let (asking, answers) = session.begin(&STREAM, None);
        Self { socket, asking, answers }
    }

    async fn say(&mut self, number: u64, frames: Vec<Frame>) {
        let payload = Frames { number, seen: 0, frames }.encode_to_vec();
        let frame = [self.asking.seal(&payload, false).as_ref(), &payload].concat();
        let _ = self.socket.send(Message::Binary(frame.into())).await;
    }

    async fn greet(&mut self, major: u32, token: &[u8]) {
        let token = Bytes::copy_from_slice(token);
        let hello = Hello { major, minor: 9, token };
        self.say(0, vec![Frame { channel: 0, what: Some(What::Hello(hello)) }]).await;
    }

    async fn greeted(&mut self) -> Hello {
        let next = within(PATIENCE, "a hello", self.socket.next()).await.unwrap();
        let Some(Ok(Message::Binary(envelope))) = next else { panic!("{next:?}") };
        let opened = self.answers.open(envelope).unwrap();
        hello_of(&opened.payload).unwrap().0
    }

    /// Why the daemon closed the connection; empty if it just did.
    async fn closed(mut self) -> String {
        loop {
            match within(PATIENCE, "an end", self.socket.next()).await.unwrap() {
                Some(Ok(Message::Close(Some(frame)))) => return frame.reason.to_string(),
                None | Some(Err(_) | Ok(Message::Close(None))) => return String::new(),
                Some(Ok(_)) => {}
            }
        }
    }
}

fn open(channel: u64) -> Frame {
    let method = "/darwin.v1.Journals/Read".to_owned();
    Frame { channel, what: Some(What::Open(Open { method, ..Default::default() })) }
}

#[tokio::test]
async fn a_newer_minor_version_is_welcome_and_another_major_one_is_named() {
    let pipes = Pipes::new();
    let mut newer = Rude::new(&pipes).await;
    newer.greet(MAJOR, &[]).await;
    assert_eq!(newer.greeted().await.token.len(), 32);
    let mut other = Rude::new(&pipes).await;
    other.greet(MAJOR + 1, &[]).await;
    let why = other.closed().await;
    assert!(why.contains("schema version 2"), "{why}");
}

#[tokio::test]
async fn a_line_is_its_clients_alone() {
    let pipes = Pipes::new();
    let mut own = Rude::new(&pipes).await;
    own.greet(MAJOR, &[]).await;
    let token = own.greeted().await.token;
    own.say(1, vec![open(1)]).await;
    // The same key goes on with it; a token that nobody was given is of no use.
    let mut again = Rude::new(&pipes).await;
    again.greet(MAJOR, &token).await;
    assert_eq!(again.greeted().await.token, token);
    let mut guess = Rude::new(&pipes).await;
    guess.greet(MAJOR, &[7; 32]).await;
    assert_ne!(guess.greeted().await.token, [7; 32].as_slice());
    // Another client's key is of no use with the right token.
    let lines = Lines::default();
    let (token, _) = lines.find(&Bytes::new(), [1; 32]);
    let token = Bytes::copy_from_slice(&token);
    assert_eq!(lines.find(&token, [1; 32]).0.as_slice(), token);
    assert_ne!(lines.find(&token, [2; 32]).0.as_slice(), token);
}

#[tokio::test]
async fn whoever_breaks_the_rules_of_a_line_loses_it() {
    let pipes = Pipes::new();
    let credit = |channel, more| Frame { channel, what: Some(What::Credit(more)) };
    let message = Frame { channel: 1, what: Some(What::Message(Bytes::new())) };
    let more = |channel, size| Frame { channel, what: Some(What::More(vec![0; size].into())) };
    let done = |channel| Frame { channel, what: Some(What::Done(true)) };
    for (what, number, frames) in [
        ("a gap", 2, vec![open(1)]),
        ("frames without a number", 0, vec![open(1)]),
        ("a channel that was there", 1, vec![open(1), open(1)]),
        ("channel 0", 1, vec![open(0)]),
        ("more credit than there is", 1, vec![open(1), credit(1, 1 << 40)]),
        ("an answer", 1, vec![open(1), message]),
        ("an empty frame", 1, vec![Frame { channel: 1, what: None }]),
        ("a second request for what has one", 1, vec![open_never(1), more(1, 10)]),
        ("more requests than there is room for", 1, vec![feed(1), more(1, 30_000), more(1, 3000)]),
        ("a request of nothing", 1, vec![feed(1), more(1, 0)]),
        ("a request after the last", 1, vec![feed(1), done(1), more(1, 10)]),
        ("too many channels", 1, (1..=2000).map(open_never).collect()),
    ] {
        let mut rude = Rude::new(&pipes).await;
        rude.greet(MAJOR, &[]).await;
        rude.greeted().await;
        rude.say(number, frames).await;
        assert_eq!(rude.closed().await, "", "{what}");
    }
    // And whoever does not greet at all.
    let mut rude = Rude::new(&pipes).await;
    rude.say(1, vec![open(1)]).await;
    assert!(rude.closed().await.contains("no message of a line"));
}

#[tokio::test]
async fn a_client_that_takes_nothing_off_costs_a_bounded_part_of_memory() {
    let pipes = Pipes::new();
    let mut rude = Rude::new(&pipes).await;
    rude.greet(MAJOR, &[]).await;
    rude.greeted().await;
    let export = |channel| {
        let message = super::export(1_000_000).encode_to_vec().into();
        let method = "/darwin.v1.Lineage/Export".to_owned();
        Frame { channel, what: Some(What::Open(Open { method, message, ..Default::default() })) }
    };
    rude.say(1, (1..=100).map(export).collect()).await;
    let made = || pipes.0.darwin.made.load(Ordering::Relaxed) * 4000;
    let begun = async {
        while made() < ROOM / 2 {
            tokio::task::yield_now().await;
        }
        // Whatever could go on does.
        for _ in 0..20_000 {
            tokio::task::yield_now().await;
        }
    };
    within(PATIENCE, "the answers", begun).await.unwrap();
    // Windows alone would let 25 MiB through; what is encoded together (32 KiB each) comes on top.
    assert!(made() < ROOM + 100 * (48 << 10), "{} bytes", made());
}

/// Enters a room where nobody listens.
fn feed(channel: u64) -> Frame {
    let message = enter("deaf").encode_to_vec().into();
    let method = "/darwin.v1.Rooms/Enter".to_owned();
    let idempotency_key = vec![7; 16].into();
    let open = Open { method, message, idempotency_key, ..Default::default() };
    Frame { channel, what: Some(What::Open(open)) }
}

fn open_never(channel: u64) -> Frame {
    let message = v1::JournalRequest { of: "never".to_owned(), ..Default::default() };
    let method = "/darwin.v1.Journals/Read".to_owned();
    let message = message.encode_to_vec().into();
    Frame { channel, what: Some(What::Open(Open { method, message, ..Default::default() })) }
}

#[tokio::test]
async fn every_flipped_bit_of_a_message_is_refused() {
    let pipes = Pipes::new();
    let (_, session) = pipes.connect().await;
    let payload = Frames { number: 1, seen: 0, frames: vec![open(1)] }.encode_to_vec();
    let (mut asking, _) = session.begin(&STREAM, None);
    let whole = [asking.seal(&payload, false).as_ref(), &payload].concat();
    let (_, theirs) = Session::pair();
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(theirs.begun(&STREAM, flipped.into(), false).is_err(), "bit {bit}");
    }
    assert!(theirs.begun(&STREAM, whole.clone().into(), false).is_ok());
    // It came before.
    assert!(theirs.begun(&STREAM, whole.into(), false).is_err());
}

#[tokio::test]
async fn messages_that_are_reordered_repeated_or_left_out_end_the_line() {
    for order in [&[1, 0][..], &[0, 0], &[1]] {
        let pipes = Pipes::new();
        let mut rude = Rude::new(&pipes).await;
        rude.greet(MAJOR, &[]).await;
        rude.greeted().await;
        let sealed: Vec<_> = (1..=2)
            .map(|number| {
                let frames = vec![open(number)];
                let payload = Frames { number, seen: 0, frames }.encode_to_vec();
                [rude.asking.seal(&payload, false).as_ref(), &payload].concat()
            })
            .collect();
        for at in order {
            let _ = rude.socket.send(Message::Binary(sealed[*at].clone().into())).await;
        }
        assert_eq!(rude.closed().await, "", "{order:?}");
    }
}
