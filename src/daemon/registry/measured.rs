//! Results that are on record already: the same genome, measured by the same suite with the same
//! seed, in the same isolation and with the same layers, within a session.

use super::{Registry, error::RegistryError};
use crate::{
    domain::{
        digest::Digest,
        evaluation::{Evaluation, FailureKind, Isolation, Layers},
        id::SessionId,
        journal::{Evaluated, Event},
    },
    provenance::{
        digest::sha256,
        entry,
        seal::{BlobKind, Sealer},
    },
};

/// All that a result depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sought {
    /// The digest of the genome.
    pub genome: Digest,
    /// The digest of the suite.
    pub suite: Digest,
    /// The seed that the evaluator is given.
    pub seed: u64,
    /// How the code is contained.
    pub isolation: Isolation,
    /// And with which layers that a machine may lack.
    pub layers: Option<Layers>,
}

impl Sought {
    /// What `evaluated`, of that genome, is found by; `None` if it is not worth finding: nothing
    /// ran, it was found itself, or it failed for want of time or room, which may change.
    #[must_use]
    pub fn of(genome: Digest, evaluated: &Evaluated) -> Option<Self> {
        let Evaluated { suite, seed, evaluation, .. } = evaluated;
        let passing = |kind| matches!(kind, FailureKind::TimedOut | FailureKind::OverLimit);
        let lasts = evaluation.scores.as_ref().err().is_none_or(|failure| !passing(failure.kind));
        let Evaluation { isolation, layers, cached, .. } = *evaluation;
        let ran = isolation != Isolation::NoCode && !cached;
        (ran && lasts).then_some(Self { genome, suite: *suite, seed: *seed, isolation, layers })
    }

    /// Its keyed digest: reveals nothing to whoever has not the session's key.
    #[must_use]
    pub fn key(&self, sealer: &Sealer) -> [u8; 32] {
        let mut text = [self.genome.0, self.suite.0].concat();
        text.extend(self.seed.to_be_bytes());
        text.extend(self.isolation.as_str().bytes());
        for name in self.layers.into_iter().flat_map(Layers::names) {
            text.push(b' ');
            text.extend(name.bytes());
        }
        sealer.mac(BlobKind::Result, &sha256(&text))
    }

    fn is(&self, evaluated: &Evaluated) -> bool {
        let Evaluated { suite, seed, evaluation, .. } = evaluated;
        let of = (suite, seed, evaluation.isolation, evaluation.layers);
        (&self.suite, &self.seed, self.isolation, self.layers) == of
    }
}

impl Registry {
    /// The evaluation that is on record in that session, marked as taken from there.
    ///
    /// # Errors
    /// If there is no such session, or its journals can't be read.
    pub async fn measured(
        &self,
        session: SessionId,
        sought: Sought,
    ) -> Result<Option<Evaluation>, RegistryError> {
        let key = sought.key(&self.inner.vault.session(session).await?.sealer);
        let Some(agent) = self.inner.stores.warm.rows().result(key).await? else {
            return Ok(None);
        };
        let row = self.agent(agent).await?;
        self.reading(move |reader| {
            let Some(sealer) = reader.sealer(row.session)? else { return Ok(None) };
            for entry in reader.journal(&row)? {
                // The repeats of an evaluation stand before what they come to.
                for event in entry::open(&entry, &sealer, &mut |cid| reader.get(cid))? {
                    if let Event::Evaluated(evaluated) = event
                        && sought.is(&evaluated)
                    {
                        return Ok(Some(Evaluation { cached: true, ..evaluated.evaluation }));
                    }
                }
            }
            Ok(None)
        })
        .await
    }
}
