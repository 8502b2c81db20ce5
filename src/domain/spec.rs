//! A run's specification: what to evolve, how, and when to stop. The schema of `darwin.toml`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{genome::Kind, suite::Suite};

/// What to evolve, how, and when to stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// What users call it.
    pub name: String,
    /// The seed of all random choices; drawn at the start of the run if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The agent that the run starts from.
    #[serde(default)]
    pub agent: AgentSpec,
    /// The parameters that vary, by name. A `count` of n makes n of them, named `x0`, `x1`, ….
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, ParamSpec>,
    /// How new agents are found.
    #[serde(default)]
    pub search: Search,
    /// When to stop.
    #[serde(default)]
    pub stop: Stop,
    /// How agents are scored; in a file, also the path of a `suite.toml` beside it.
    pub suite: Suite,
}

/// The agent that the run starts from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentSpec {
    /// Its files: paths of files or directories beside the spec.
    pub files: Vec<String>,
    /// The model it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The prompt template it uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
}

/// A parameter, or `count` alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParamSpec {
    /// Its type and bounds.
    #[serde(flatten)]
    pub kind: Kind,
    /// Its value in the initial agent (a categorical one: the choice's name). Left out: random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<toml::Value>,
    /// How many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

/// When new agents are made from which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A generation at a time: the same genomes whatever the number of workers.
    #[default]
    Generational,
    /// A child whenever a worker is free.
    SteadyState,
}

/// How new agents are found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Search {
    /// When new agents are made.
    pub mode: Mode,
    /// N, the population's size.
    pub population: u32,
    /// ε, the share of the best that is carried over unchanged.
    pub elitism: f64,
    /// How parents are chosen.
    pub selection: Selection,
    /// The operators and how often each is used. Empty: chosen to fit the genome.
    pub operators: Vec<OperatorSpec>,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            mode: Mode::Generational,
            population: 64,
            elitism: 0.05,
            selection: Selection::default(),
            operators: Vec::new(),
        }
    }
}

/// How parents are chosen. By `kind`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Selection {
    /// The best of `size` drawn at random (with replacement).
    Tournament {
        /// How many are drawn.
        size: u32,
    },
    /// Linear ranking (Baker 1985).
    Rank {
        /// The expected offspring of the best, in `[1, 2]`.
        pressure: f64,
    },
    /// In proportion to fitness above the population's worst (Holland 1975).
    Roulette,
}

impl Default for Selection {
    fn default() -> Self {
        Self::Tournament { size: 3 }
    }
}

/// One way to make a child, and how often it is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperatorSpec {
    /// What it does.
    #[serde(flatten)]
    pub operator: Operator,
    /// Its share among the operators.
    #[serde(default = "one")]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

/// The ways to make a child. By `name`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Operator {
    /// A normal step on some parameters; `sigma` in units of the parameter's range, `rate`
    /// the chance of each parameter (default 1/n).
    Gaussian {
        /// The step's standard deviation.
        #[serde(default = "tenth")]
        sigma: f64,
        /// The chance that a parameter is changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rate: Option<f64>,
    },
    /// Polynomial mutation (Deb and Goyal 1996).
    Polynomial {
        /// The distribution index η.
        #[serde(default = "twenty")]
        eta: f64,
        /// The chance that a parameter is changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rate: Option<f64>,
    },
    /// Differential evolution (Storn and Price 1997): a child competes with its own target.
    DifferentialEvolution {
        /// F, the differential weight; left out: drawn in `[0.5, 1)` for each child.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        f: Option<f64>,
        /// CR, the crossover rate.
        #[serde(default = "nine_tenths")]
        cr: f64,
        /// Whether the base is the best (best/1/bin) or a random one (rand/1/bin).
        #[serde(default)]
        best: bool,
    },
    /// Children drawn from a normal distribution that learns its mean, scale and shape from
    /// the ranking of each generation (CMA-ES, Hansen and Ostermeier 2001). It stands alone,
    /// and selection and elitism don't apply to it.
    CmaEs {
        /// The standard deviation that it starts with, in units of the parameter's range.
        #[serde(default = "fifth")]
        sigma: f64,
    },
    /// Two parents, cut at one place: parameters, and the lines of text files.
    OnePoint,
    /// Two parents, cut at two places: parameters, and the lines of text files.
    TwoPoint,
    /// Two parents, each parameter and block of lines from one or the other.
    Uniform,
    /// Numeric literals inside EVOLVE-BLOCK regions are perturbed.
    ConstantTweak {
        /// The step's standard deviation, relative to the literal.
        #[serde(default = "fifth")]
        sigma: f64,
    },
    /// A passage of another agent's prompt takes the place of one of its own.
    PromptSplice,
}

fn tenth() -> f64 {
    0.1
}
fn fifth() -> f64 {
    0.2
}
fn twenty() -> f64 {
    20.0
}
fn nine_tenths() -> f64 {
    0.9
}

/// When to stop: at the first of these that holds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stop {
    /// `n_max`, generations after the initial one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generations: Option<u64>,
    /// Evaluations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluations: Option<u64>,
    /// Elapsed time in seconds, pauses excepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<f64>,
    /// A score that is good enough: of one objective, in its own unit; else of the weighted sum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// τ: stop when the best gains less than this over `window` generations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tau: Option<f64>,
    /// The generations over which `tau` looks (default 50).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
}
