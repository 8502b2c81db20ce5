//! What an agent is made of: files, typed parameters, a model and a template.

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The longest path of a file in a genome, in bytes.
pub const MAX_PATH: usize = 512;
/// The most files that one genome holds.
pub const MAX_FILES: usize = 10_000;
/// The largest genome, in bytes over all its files.
pub const MAX_GENOME: usize = 64 << 20;
/// The name of the file in which a program finds its agent's parameters.
pub const PARAMS_FILE: &str = "params.json";

/// A relative path inside a genome: `/`-separated, no empty, `.` or `..` part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FilePath(Arc<str>);

/// Why a text is not a path inside a genome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is not a relative path inside the agent's directory")]
pub struct BadPath(pub String);

impl FilePath {
    /// Checks `path`.
    ///
    /// # Errors
    /// If it is absolute, empty, too long, or has an empty, `.` or `..` part, a
    /// backslash or a control character.
    pub fn new(path: &str) -> Result<Self, BadPath> {
        let fine = path.len() <= MAX_PATH
            && !path.contains(|c: char| c.is_control() || c == '\\')
            && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if fine { Ok(Self(path.into())) } else { Err(BadPath(path.escape_debug().to_string())) }
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for FilePath {
    type Error = BadPath;
    fn try_from(path: String) -> Result<Self, BadPath> {
        Self::new(&path)
    }
}

impl From<FilePath> for String {
    fn from(path: FilePath) -> Self {
        path.0.as_ref().to_owned()
    }
}

/// One file of a genome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its content.
    pub bytes: Bytes,
    /// Whether it may be executed; the only mode bit kept.
    pub executable: bool,
}

/// The files of a genome, by path. Shared: most children change one file or none.
pub type Files = Arc<BTreeMap<FilePath, File>>;

/// The type and bounds of one parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Kind {
    /// A real number in `[min, max]`; with `log`, varied on a logarithmic scale.
    Real {
        /// Lower bound, included.
        min: f64,
        /// Upper bound, included.
        max: f64,
        /// Vary its logarithm; needs `min > 0`.
        #[serde(default)]
        log: bool,
    },
    /// A whole number in `[min, max]`, within ±2⁵³.
    Integer {
        /// Lower bound, included.
        min: i64,
        /// Upper bound, included.
        max: i64,
        /// Vary its logarithm; needs `min > 0`.
        #[serde(default)]
        log: bool,
    },
    /// One of these names.
    Categorical {
        /// The names; at least one, no two alike.
        choices: Vec<String>,
    },
}

/// One parameter: its name, its type, and where it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// Its name: unique in its space.
    pub name: String,
    /// Its type and bounds.
    pub kind: Kind,
    /// Its value in the initial agent, as in [`Genome::params`]; `None`: drawn at random.
    pub init: Option<f64>,
}

/// The parameters that every genome of a run has, in a fixed order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Space {
    /// The parameters; position `i` describes [`Genome::params`]`[i]`.
    pub params: Vec<Param>,
}

/// A parameter's value with its type, as people and programs see it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// A real number.
    Real(f64),
    /// A whole number.
    Integer(i64),
    /// One of the names of a categorical parameter.
    Category(&'a str),
}

impl Kind {
    /// Whether `value` is one that this parameter can have.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        match self {
            Self::Real { min, max, .. } => value >= *min && value <= *max,
            #[expect(clippy::cast_precision_loss, reason = "bounds lie within ±2⁵³")]
            Self::Integer { min, max, .. } => {
                value.fract() == 0.0 && value >= *min as f64 && value <= *max as f64
            }
            #[expect(clippy::cast_precision_loss, reason = "a list is shorter than 2⁵³")]
            Self::Categorical { choices } => {
                value.fract() == 0.0 && value >= 0.0 && value < choices.len() as f64
            }
        }
    }

    /// The typed value that `value` stands for; it must satisfy [`Kind::holds`].
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "holds() bounds it"
    )]
    pub fn typed(&self, value: f64) -> Value<'_> {
        match self {
            Self::Real { .. } => Value::Real(value),
            Self::Integer { .. } => Value::Integer(value as i64),
            Self::Categorical { choices } => {
                Value::Category(choices.get(value as usize).map_or("", String::as_str))
            }
        }
    }
}

/// What an agent is made of.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Genome {
    /// Prompts, code, weights.
    pub files: Files,
    /// One number per parameter of the run's [`Space`]: the value of a real one, the
    /// whole number of an integer one, the index of a categorical one.
    pub params: Arc<[f64]>,
    /// The model it runs on, by its name in the registry.
    pub model: Option<Arc<str>>,
    /// The prompt template it uses, by name.
    pub template: Option<Arc<str>>,
}

impl Genome {
    /// The bytes of all files together.
    #[must_use]
    pub fn size(&self) -> usize {
        self.files.values().map(|file| file.bytes.len()).sum()
    }
}
