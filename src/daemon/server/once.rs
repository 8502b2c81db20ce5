//! Changes that are made once, however often they are asked for: a call names itself by its
//! idempotency key, which is written in the transaction of what it changes. Who asks again is told
//! how things are now.
//!
//! Calls whose request holds an id of the caller's choice need none of this: what they make is found
//! by that id.

use prost::Message;
use tokio::sync::OwnedMutexGuard;
use tonic::Request;

use crate::{
    code::Code,
    daemon::{clock, store::warm::marks::Mark},
    wire::{envelope::IdempotencyKey, fault::Fault},
};

use super::context::{Context, peer};

/// A call for a change.
pub struct Asked {
    method: &'static str,
    request: Vec<u8>,
    sender: [u8; 32],
    key: [u8; 16],
}

/// The turn of a call: nobody else makes the same one meanwhile.
pub struct Turn {
    mark: Mark,
    /// The same call, if it was made before.
    pub made: Option<Mark>,
    _alone: OwnedMutexGuard<()>,
}

impl Asked {
    /// The call of `method`.
    ///
    /// # Errors
    /// If it has no key, which no transport lets through: a bug.
    pub fn of(method: &'static str, request: &Request<impl Message>) -> Result<Self, Fault> {
        let sender = peer(request)?.session.peer();
        let key = request.extensions().get::<IdempotencyKey>();
        let text = "a change came without an idempotency key; please report this";
        let key = key.ok_or_else(|| Fault::new(Code::Bug, text))?.0;
        Ok(Self { method, request: request.get_ref().encode_to_vec(), sender, key })
    }
}

impl Context {
    /// Waits until nobody else makes that call, and finds out whether it was made.
    ///
    /// # Errors
    /// If that can't be read, or another call had that key.
    pub async fn turn(&self, asked: Asked) -> Result<Turn, Fault> {
        let Asked { method, request, sender, key } = asked;
        let alone = self.turns.wait((sender, key)).await;
        let request = self.registry.request_mac(method, &request);
        let made = self.registry.mark(sender, key).await?;
        if made.is_some_and(|made| made.request != request) {
            let text = "this idempotency key was that of another call; each change has its own";
            return Err(Fault::new(Code::Conflict, text));
        }
        let mark = Mark { sender, key, request, subject: [0; 16], at_ms: clock::millis() };
        Ok(Turn { mark, made, _alone: alone })
    }
}

impl Turn {
    /// What is written with the change of the thing whose id is `subject`.
    #[must_use]
    pub fn mark(&self, subject: &[u8; 16]) -> Mark {
        Mark { subject: *subject, ..self.mark }
    }

    /// The id of what was changed, if the call was made before.
    #[must_use]
    pub fn done<Id>(&self, id: impl FnOnce([u8; 16]) -> Id) -> Option<Id> {
        self.made.map(|made| id(made.subject))
    }
}
