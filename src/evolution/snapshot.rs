//! The state of an engine as bytes: versioned DAG-CBOR. Contents that members share are
//! stored once, and those of the initial agent not at all.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::domain::{
    genome::{File, FilePath, Files, Genome},
    id::Slot,
};

use super::{
    breed::Breeder,
    covariance,
    error::EngineError,
    plan,
    population::{Made, Member, comparable},
    progress::Progress,
    setup::{Best, Proposal},
    state::State,
};

/// Raised whenever a restored engine would go on differently from one that wrote it.
const VERSION: u32 = 2;

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    seed: u64,
    population: u64,
    params: u64,
    told: u64,
    finished: u64,
    history: Vec<Option<f64>>,
    best: Option<(Slot, f64, StoredGenome)>,
    members: Vec<StoredMember>,
    state: StoredState,
    /// Contents of files, and sets of files made of them; set 0 is the initial agent's.
    contents: Vec<Bytes>,
    sets: Vec<Vec<(FilePath, bool, u64)>>,
}

#[derive(Serialize, Deserialize)]
struct StoredGenome {
    params: Vec<f64>,
    files: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredMember {
    slot: Slot,
    fitness: Option<f64>,
    joined: u64,
    genome: StoredGenome,
}

#[derive(Serialize, Deserialize)]
enum StoredState {
    Generational {
        generation: u64,
        best_before: Option<f64>,
        answers: Vec<(u64, StoredGenome, Option<f64>)>,
        cloud: Option<covariance::State>,
    },
    Steady {
        next: u64,
        joined: u64,
        pending: Vec<StoredPending>,
    },
}

#[derive(Serialize, Deserialize)]
struct StoredPending {
    rival: Option<u64>,
    slot: Slot,
    genome: StoredGenome,
    parents: Vec<Slot>,
    operators: Vec<String>,
    parent_fitness: Option<f64>,
    best_before: Option<f64>,
}

/// Collects files so that each content and each set of them is stored once.
#[derive(Default)]
struct Writer {
    contents: Vec<Bytes>,
    known: HashMap<Bytes, u64>,
    sets: Vec<Vec<(FilePath, bool, u64)>>,
    shared: HashMap<usize, u64>,
}

impl Writer {
    fn genome(&mut self, genome: &Genome) -> StoredGenome {
        // By address: members that share a set share it in memory.
        let address = Arc::as_ptr(&genome.files) as usize;
        let files = match self.shared.get(&address) {
            Some(set) => *set,
            None => {
                let set = genome.files.iter().map(|(path, file)| {
                    let next = self.contents.len() as u64;
                    let content = *self.known.entry(file.bytes.clone()).or_insert_with(|| {
                        self.contents.push(file.bytes.clone());
                        next
                    });
                    (path.clone(), file.executable, content)
                });
                let set = set.collect();
                self.sets.push(set);
                self.shared.insert(address, self.sets.len() as u64);
                self.sets.len() as u64
            }
        };
        StoredGenome { params: genome.params.to_vec(), files }
    }
}

fn finite(fitness: f64) -> Option<f64> {
    fitness.is_finite().then_some(fitness)
}

/// # Errors
/// If the encoder fails, which it does for no state of an engine.
pub(super) fn write(
    seed: u64,
    initial: &Genome,
    breeder: &Breeder,
    progress: &Progress,
    state: &State,
) -> Result<Vec<u8>, EngineError> {
    let mut writer = Writer::default();
    writer.shared.insert(Arc::as_ptr(&initial.files) as usize, 0);
    let best = progress.best.as_ref();
    let best = best.map(|best| (best.slot, best.fitness, writer.genome(&best.genome)));
    let members = match state {
        State::Generational(state) => &state.members,
        State::Steady(state) => &state.members,
    };
    let members = members.iter().map(|member| StoredMember {
        slot: member.slot,
        fitness: finite(member.fitness),
        joined: member.joined,
        genome: writer.genome(&member.genome),
    });
    let members = members.collect();
    let state = match state {
        State::Generational(state) => StoredState::Generational {
            generation: state.generation,
            best_before: state.best_before,
            answers: state
                .answers()
                .map(|(at, genome, fitness)| (at as u64, writer.genome(genome), finite(fitness)))
                .collect(),
            cloud: state.cloud.as_ref().map(|cloud| cloud.state.clone()),
        },
        State::Steady(state) => StoredState::Steady {
            next: state.next,
            joined: state.joined,
            pending: state.pending.iter().map(|made| pending(made, &mut writer)).collect(),
        },
    };
    let stored = Stored {
        version: VERSION,
        seed,
        population: breeder.plan.population as u64,
        params: breeder.plan.axes.len() as u64,
        told: progress.told,
        finished: progress.finished,
        history: progress.history.iter().copied().collect(),
        best,
        members,
        state,
        contents: writer.contents,
        sets: writer.sets,
    };
    serde_ipld_dagcbor::to_vec(&stored).map_err(|error| EngineError::Damaged(error.to_string()))
}

fn pending(made: &Made, writer: &mut Writer) -> StoredPending {
    let Made { proposal, rival } = made;
    StoredPending {
        rival: rival.map(|rival| rival as u64),
        slot: proposal.slot,
        genome: writer.genome(&proposal.genome),
        parents: proposal.parents.clone(),
        operators: proposal.operators.iter().map(|name| (*name).to_owned()).collect(),
        parent_fitness: proposal.parent_fitness,
        best_before: proposal.best_before,
    }
}

/// Turns stored genomes back.
struct Reader<'a> {
    initial: &'a Genome,
    breeder: &'a Breeder,
    sets: Vec<Files>,
}

fn damaged(what: &str) -> EngineError {
    EngineError::Damaged(what.to_owned())
}

fn place(stored: u64, count: usize, what: &str) -> Result<usize, EngineError> {
    usize::try_from(stored).ok().filter(|at| *at < count).ok_or_else(|| damaged(what))
}

impl<'a> Reader<'a> {
    fn new(
        initial: &'a Genome,
        breeder: &'a Breeder,
        stored: &Stored,
    ) -> Result<Self, EngineError> {
        let mut sets = vec![initial.files.clone()];
        for set in &stored.sets {
            let files = set.iter().map(|(path, executable, content)| {
                let at = place(*content, stored.contents.len(), "a file's content is missing")?;
                let bytes = stored.contents[at].clone();
                Ok((path.clone(), File { bytes, executable: *executable }))
            });
            sets.push(Arc::new(files.collect::<Result<_, EngineError>>()?));
        }
        Ok(Self { initial, breeder, sets })
    }

    fn genome(&self, stored: &StoredGenome) -> Result<Genome, EngineError> {
        let axes = &self.breeder.plan.axes;
        let fine = stored.params.len() == axes.len()
            && axes
                .iter()
                .zip(&stored.params)
                .all(|(axis, value)| axis.value(axis.coordinate(*value)).is_finite());
        if !fine {
            return Err(damaged("an agent has other parameters"));
        }
        let files = self.sets
            [place(stored.files, self.sets.len(), "an agent's files are missing")?]
        .clone();
        Ok(Genome { files, params: stored.params.as_slice().into(), ..self.initial.clone() })
    }

    fn members(&self, stored: &[StoredMember]) -> Result<Vec<Member>, EngineError> {
        let member = |stored: &StoredMember| {
            Ok(Member {
                slot: stored.slot,
                genome: self.genome(&stored.genome)?,
                fitness: comparable(stored.fitness),
                joined: stored.joined,
            })
        };
        stored.iter().map(member).collect()
    }

    fn pending(&self, stored: &StoredPending, members: usize) -> Result<Made, EngineError> {
        let rival = stored.rival.map(|rival| place(rival, members.max(1), "a rival is missing"));
        let operator = |name: &String| plan::named(name).ok_or_else(|| damaged("unknown operator"));
        let proposal = Proposal {
            slot: stored.slot,
            genome: self.genome(&stored.genome)?,
            parents: stored.parents.clone(),
            operators: stored.operators.iter().map(operator).collect::<Result<_, _>>()?,
            parent_fitness: stored.parent_fitness,
            best_before: stored.best_before,
        };
        Ok(Made { proposal, rival: rival.transpose()? })
    }
}

/// Puts the stored state into a new engine's parts.
///
/// # Errors
/// If the bytes are damaged, of another version, or of another search.
pub(super) fn read(
    bytes: &[u8],
    seed: u64,
    initial: &Genome,
    breeder: &mut Breeder,
    progress: &mut Progress,
    state: &mut State,
) -> Result<(), EngineError> {
    let decode = |error: &dyn std::fmt::Display| EngineError::Damaged(error.to_string());
    let Versioned { version } = serde_ipld_dagcbor::from_slice(bytes).map_err(|e| decode(&e))?;
    if version != VERSION {
        return Err(EngineError::Version(version, VERSION));
    }
    let stored: Stored = serde_ipld_dagcbor::from_slice(bytes).map_err(|e| decode(&e))?;
    let population = breeder.plan.population;
    let same = [
        (stored.seed == seed, "seed"),
        (stored.population == population as u64, "population"),
        (stored.params == breeder.plan.axes.len() as u64, "number of parameters"),
    ];
    if let Some((_, what)) = same.iter().find(|(same, _)| !same) {
        return Err(EngineError::Foreign(what));
    }
    if stored.members.len() > population {
        return Err(damaged("too many members"));
    }
    let reader = Reader::new(initial, breeder, &stored)?;
    let members = reader.members(&stored.members)?;
    if let Some((slot, fitness, genome)) = &stored.best {
        let genome = reader.genome(genome)?;
        progress.best = Some(Best { slot: *slot, fitness: *fitness, genome });
    }
    (progress.told, progress.finished) = (stored.told, stored.finished);
    progress.resume(stored.history);
    match (&mut *state, stored.state) {
        (
            State::Generational(state),
            StoredState::Generational { generation, best_before, answers, cloud },
        ) => {
            if generation > 0 && members.len() != population
                || generation == 0 && !members.is_empty()
            {
                return Err(damaged("members are missing"));
            }
            state.best_before = best_before;
            let slots = population - if generation == 0 { 0 } else { breeder.plan.elite };
            let answer = |(at, genome, fitness): &(u64, StoredGenome, Option<f64>)| {
                let at = place(*at, slots, "an answer has no slot")?;
                Ok((at, reader.genome(genome)?, comparable(*fitness)))
            };
            let answers: Vec<_> = answers.iter().map(answer).collect::<Result<_, EngineError>>()?;
            if !answers.is_sorted_by(|a, b| a.0 < b.0) || answers.len() == slots {
                return Err(damaged("answers are out of order"));
            }
            match (&mut state.cloud, cloud) {
                (Some(own), Some(cloud)) if cloud.fits(breeder.plan.axes.len()) => {
                    own.resume(cloud);
                }
                (None, None) => {}
                _ => return Err(EngineError::Foreign("operators")),
            }
            progress.asked = stored.told.saturating_sub(answers.len() as u64);
            state.resume(generation, members, answers, breeder, progress);
        }
        (State::Steady(state), StoredState::Steady { next, joined, pending }) => {
            if !members.iter().all(Member::scored) {
                return Err(damaged("a member has no score"));
            }
            if !pending.is_sorted_by(|a, b| a.slot < b.slot) {
                return Err(damaged("agents at work are out of order"));
            }
            let count = members.len();
            let pending = pending.iter().map(|stored| reader.pending(stored, count));
            state.resume(members, (next, joined), pending.collect::<Result<_, _>>()?);
            progress.asked = stored.told + state.pending.len() as u64;
        }
        _ => return Err(EngineError::Foreign("mode")),
    }
    let between = match state {
        State::Generational(state) => state.idle() && state.generation > 0,
        State::Steady(_) => true,
    };
    if between {
        progress.judge();
    } else {
        progress.judge_budget();
    }
    Ok(())
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}
