//! Exports of an ancestry as a CAR file, piece by piece.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Registry, error::RegistryError, verify::Keys};
use crate::{
    domain::id::AgentId,
    provenance::{
        export::{ExportError, Request, export},
        sign::PublicKey,
        statement::SigningKey,
        verify::VerifyError,
    },
};

/// How many pieces wait for a slow reader.
const WAITING: usize = 16;

impl Registry {
    /// Writes an agent's ancestry as a CAR file. Everything is checked first; a fault is the
    /// first and only thing that the reader gets. With `disclose` the key of the agent's
    /// session goes along.
    ///
    /// # Errors
    /// If there is no such agent, or its key is to be disclosed and is gone.
    pub async fn export(
        &self,
        id: AgentId,
        disclose: bool,
    ) -> Result<mpsc::Receiver<Result<Bytes, RegistryError>>, RegistryError> {
        let row = self.agent(id).await?;
        let disclosed = if disclose {
            let session = self.inner.vault.session(row.session).await?;
            vec![(row.session, session.sealer.key().clone())]
        } else {
            Vec::new()
        };
        let keys = self.inner.stores.warm.rows().signing_keys().await?;
        let until = keys.iter().skip(1).map(|(_, since)| Some(*since)).chain([None]);
        let keys: Vec<SigningKey> = keys
            .iter()
            .zip(until)
            .map(|((public, since_ms), until_ms)| SigningKey {
                public: PublicKey(*public),
                since_ms: *since_ms,
                until_ms,
            })
            .collect();
        let (sender, receiver) = mpsc::channel(WAITING);
        let registry = self.clone();
        tokio::spawn(async move {
            let out = sender.clone();
            let done = registry
                .reading(move |reader| {
                    let registry = reader.registry().clone();
                    let ring = registry.inner.ring.clone();
                    let signer = Arc::clone(&registry.inner.signer);
                    let at_ms = registry.inner.clock.millis();
                    let mut known = Keys::new(&registry);
                    let mut sealers = |session| known.get(session);
                    let request =
                        Request { agents: &[id], at_ms, keys: &keys, disclosed: &disclosed };
                    let mut write = |piece: Vec<u8>| {
                        out.blocking_send(Ok(piece.into())).map_err(|_| RegistryError::Closed)
                    };
                    let made = export(reader, &ring, &mut sealers, &signer, request, &mut write);
                    made.map(drop).map_err(|error| match error {
                        ExportError::Verify(VerifyError::Fault(fault)) => {
                            RegistryError::Damaged(fault.to_string())
                        }
                        ExportError::Verify(VerifyError::Source(error))
                        | ExportError::Write(error) => error,
                    })
                })
                .await;
            if let Err(error) = done {
                // A reader that went away needs no reason.
                drop(sender.send(Err(error)).await);
            }
        });
        Ok(receiver)
    }
}
