//! Calls whose requests are a stream.

use std::sync::atomic::Ordering;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::{
    Calls, PATIENCE, Pipes, REQUESTS,
    echo::{content, enter, say},
};
use crate::{
    resilience::deadline::within,
    wire::v1::{Heard, Say, journals_client::JournalsClient, rooms_client::RoomsClient},
};

/// Enters a room of that name.
async fn entered(calls: &Calls<Pipes>, room: &str) -> (mpsc::Sender<Say>, Streaming<Heard>) {
    let (says, stream) = mpsc::channel(1);
    says.try_send(enter(room)).unwrap();
    let mut rooms = RoomsClient::new(calls.clone());
    let told = within(PATIENCE, "to enter", rooms.enter(ReceiverStream::new(stream)));
    let mut told = told.await.unwrap().unwrap().into_inner();
    next(&mut told).await.unwrap();
    (says, told)
}

async fn next(told: &mut Streaming<Heard>) -> Option<Heard> {
    within(PATIENCE, "an answer", told.message()).await.unwrap().unwrap()
}

#[tokio::test]
async fn both_ways_are_open_at_once_and_messages_stay_whole() {
    let pipes = Pipes::new();
    let (says, mut told) = entered(&pipes.calls(), "echo").await;
    for size in [0, 1, 200, REQUESTS - 1, REQUESTS + 1, 300_000, 3_000_000, 5] {
        says.send(say(vec![7; size])).await.unwrap();
        assert_eq!(content(next(&mut told).await.unwrap()).len(), size);
    }
    drop(says);
    assert!(next(&mut told).await.is_none());
    assert_eq!(pipes.0.echo.ended.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn who_is_not_listened_to_waits_and_holds_up_nobody() {
    let pipes = Pipes::new();
    let calls = pipes.calls();
    let mut journals = JournalsClient::new(calls.clone());
    let mut deaf = Vec::new();
    for _ in 0..20 {
        let (says, told) = entered(&calls, "deaf").await;
        // What is on its way to the method, encoded or waiting to be, is bounded.
        let sending = tokio::spawn(async move {
            let mut sent = 0;
            while within(PATIENCE / 30, "room", says.send(say(vec![7; 4000]))).await.is_ok() {
                sent += 1;
            }
            sent
        });
        deaf.push((sending, told));
    }
    for _ in 0..100 {
        let echo = within(PATIENCE, "an echo", journals.read(super::echo(200)));
        echo.await.unwrap().unwrap();
    }
    for (sending, told) in deaf {
        let sent = sending.await.unwrap();
        assert!((8..=30).contains(&sent), "{sent} messages of 4,000 bytes were taken");
        drop(told);
    }
    // They had not ended, and are not taken for whole.
    let begun = Instant::now();
    while pipes.0.echo.broken.load(Ordering::Relaxed) < 20 {
        assert!(begun.elapsed() < PATIENCE, "{:?}", pipes.0.echo);
        sleep(PATIENCE / 1000).await;
    }
    assert_eq!(pipes.0.echo.ended.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn what_breaks_is_gone_on_with_and_no_request_is_lost_or_comes_twice() {
    for seed in 0..6 {
        let mut chaos = ChaCha8Rng::seed_from_u64(seed);
        let pipes = Pipes::new();
        let (says, mut told) = entered(&pipes.calls(), "echo").await;
        let sizes: Vec<_> = (0..400_u32).map(|_| chaos.random_range(4..20_000)).collect();
        let sent = sizes.clone();
        let sending = tokio::spawn(async move {
            for (n, size) in sent.into_iter().enumerate() {
                let mut content = vec![7; size];
                content[..4].copy_from_slice(&(n as u32).to_be_bytes());
                says.send(say(content)).await.unwrap();
            }
        });
        for (n, size) in sizes.into_iter().enumerate() {
            let content = content(next(&mut told).await.unwrap());
            assert_eq!((content.len(), &content[..4]), (size, &(n as u32).to_be_bytes()[..]));
            if chaos.random_bool(0.03) {
                pipes.cut();
            }
        }
        sending.await.unwrap();
        assert!(next(&mut told).await.is_none(), "seed {seed}");
        assert!(pipes.made() > 3, "{} connections", pipes.made());
        let (came, ended) = (&pipes.0.echo.came, &pipes.0.echo.ended);
        assert_eq!((came.load(Ordering::Relaxed), ended.load(Ordering::Relaxed)), (400, 1));
    }
}

#[tokio::test]
async fn a_daemon_that_forgot_the_line_sees_no_end_and_the_caller_is_told() {
    let pipes = Pipes::new();
    let calls = pipes.calls();
    let (says, mut told) = entered(&calls, "count").await;
    says.send(say("one")).await.unwrap();
    pipes.restart();
    let lost = within(PATIENCE, "an end", told.message()).await.unwrap().unwrap_err();
    assert_eq!(lost.code(), tonic::Code::Unavailable);
    // What is still sent goes nowhere, and harms no call of the line that comes next.
    let _ = says.send(say("two")).await;
    let (says, mut told) = entered(&calls, "count").await;
    says.send(say("three")).await.unwrap();
    drop(says);
    assert_eq!(&content(next(&mut told).await.unwrap())[..], &1_u64.to_be_bytes());
    assert_eq!(pipes.0.echo.ended.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_stream_of_no_requests_is_none() {
    let pipes = Pipes::new();
    let mut rooms = RoomsClient::new(pipes.calls());
    let refused = rooms.enter(tokio_stream::empty()).await.unwrap_err();
    assert!(refused.message().contains("cut"), "{refused}");
    assert_eq!(pipes.made(), 0);
}
