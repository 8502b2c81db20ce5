//! The genome digest: which genomes are the same.
//!
//! It is the SHA-256 digest of a canonical manifest, in DAG-CBOR:
//! `{v: 1, files: {path: {mode, size, digest}}, model, params: {name: value}, template}`.
//! A real parameter is a float, an integer one an int, a categorical one the name of its
//! choice. Bounds and scales are not part of it: they say how a genome varies, not what
//! it is. Zero has no sign.

use crate::domain::{
    digest::Digest,
    genome::{Genome, Kind, MAX_FILES, MAX_GENOME, Space},
};

use super::{
    cbor::{Writer, key_order},
    digest::sha256,
    error::{Error, Result},
};

/// The number of this format.
pub const FORMAT: u64 = 1;
/// The mode of a plain file, as git writes it.
pub const MODE_PLAIN: u64 = 0o100_644;
/// The mode of an executable file, as git writes it.
pub const MODE_EXECUTABLE: u64 = 0o100_755;

/// What the manifest says of one file.
#[derive(Debug, Clone)]
pub(super) struct FileFacts<'a> {
    pub path: &'a str,
    pub executable: bool,
    pub size: u64,
    pub digest: Digest,
}

/// The digest of `genome`, whose parameters `space` describes.
///
/// # Errors
/// If a parameter is not finite or not of its kind, names are not unique, or the genome
/// is larger than one may be.
pub fn genome_digest(genome: &Genome, space: &Space) -> Result<Digest> {
    check_size(genome)?;
    let facts = genome.files.iter().map(|(path, file)| FileFacts {
        path: path.as_str(),
        executable: file.executable,
        size: file.bytes.len() as u64,
        digest: sha256(&file.bytes),
    });
    Ok(sha256(&manifest(facts.collect(), genome, space)?))
}

/// The digest of `genome`, some of whose files are known by size and digest only: those for
/// which `beside` gives them. For checks that need not load what others have checked.
///
/// # Errors
/// As [`genome_digest`].
pub fn genome_digest_with(
    genome: &Genome,
    space: &Space,
    beside: &dyn Fn(&str) -> Option<(u64, Digest)>,
) -> Result<Digest> {
    let facts = genome.files.iter().map(|(path, file)| {
        let own = || (file.bytes.len() as u64, sha256(&file.bytes));
        let (size, digest) = beside(path.as_str()).unwrap_or_else(own);
        FileFacts { path: path.as_str(), executable: file.executable, size, digest }
    });
    Ok(sha256(&manifest(facts.collect(), genome, space)?))
}

/// The canonical manifest of a genome with these files; those in `genome` are not read.
pub(super) fn manifest(
    mut files: Vec<FileFacts<'_>>,
    genome: &Genome,
    space: &Space,
) -> Result<Vec<u8>> {
    let mut out = Writer::with_capacity(64 + 96 * files.len() + 24 * genome.params.len());
    out.map(5);
    out.text("v");
    out.uint(FORMAT);
    out.text("files");
    files.sort_unstable_by(|a, b| key_order(a.path, b.path));
    out.map(files.len());
    for file in files {
        out.text(file.path);
        out.map(3);
        out.text("mode");
        out.uint(if file.executable { MODE_EXECUTABLE } else { MODE_PLAIN });
        out.text("size");
        out.uint(file.size);
        out.text("digest");
        out.bytes(&file.digest.0);
    }
    out.text("model");
    name(&mut out, genome.model.as_deref());
    out.text("params");
    params(&mut out, genome, space)?;
    out.text("template");
    name(&mut out, genome.template.as_deref());
    Ok(out.into_bytes())
}

/// Refuses a genome that is larger than one may be.
pub(super) fn check_size(genome: &Genome) -> Result<()> {
    let (files, size) = (genome.files.len() as u64, genome.size() as u64);
    if files > MAX_FILES as u64 {
        return Err(Error::TooLarge {
            what: "the files' number",
            size: files,
            limit: MAX_FILES as u64,
        });
    }
    if size > MAX_GENOME as u64 {
        return Err(Error::TooLarge { what: "the genome", size, limit: MAX_GENOME as u64 });
    }
    Ok(())
}

/// Writes a name, or that there is none.
pub(super) fn name(out: &mut Writer, name: Option<&str>) {
    match name {
        Some(name) => out.text(name),
        None => out.null(),
    }
}

fn params(out: &mut Writer, genome: &Genome, space: &Space) -> Result<()> {
    let (values, given) = (&genome.params, space.params.len());
    if values.len() != given {
        let found = values.len();
        return Err(Error::Invalid(format!(
            "a genome has {found} parameters, and its space describes {given}"
        )));
    }
    let mut params: Vec<_> = space.params.iter().zip(values.iter()).collect();
    params.sort_unstable_by(|(a, _), (b, _)| key_order(&a.name, &b.name));
    if let Some(pair) = params.windows(2).find(|pair| pair[0].0.name == pair[1].0.name) {
        return Err(Error::Invalid(format!("two parameters are named “{}”", pair[0].0.name)));
    }
    out.map(params.len());
    for (param, value) in params {
        out.text(&param.name);
        let wrong = || {
            let name = &param.name;
            Error::Invalid(format!("{value} is not a value that the parameter “{name}” can have"))
        };
        match &param.kind {
            Kind::Real { .. } => {
                out.float(*value, || format!("the parameter “{}”", param.name))?;
            }
            Kind::Integer { .. } => out.int(whole(*value).ok_or_else(wrong)?),
            Kind::Categorical { choices } => {
                let index = whole(*value).and_then(|index| usize::try_from(index).ok());
                out.text(index.and_then(|index| choices.get(index)).ok_or_else(wrong)?);
            }
        }
    }
    Ok(())
}

/// `value` as a whole number within ±2⁵³.
fn whole(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    let fits = value.fract() == 0.0 && value.abs() <= LIMIT;
    #[expect(clippy::cast_possible_truncation, reason = "within ±2⁵³")]
    fits.then_some(value as i64)
}
