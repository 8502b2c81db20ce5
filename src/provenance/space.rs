//! Parameter spaces as a journal records them: `[[name, type, bounds…, start], …]`.

use bytes::Bytes;

use crate::domain::{
    digest::Digest,
    genome::{Kind, Param, Space},
};

use super::{
    blob::{BlobRef, Content, Sink, read as read_content},
    cbor::{self, Reader, Writer},
    error::{Error, Result},
    seal::BlobKind,
};

/// The largest space that rides in a body, encoded, in bytes: some hundred parameters.
/// A larger one is a sealed object, stored once.
const INLINE_SPACE: usize = 16 << 10;
const WHAT: &str = "parameter space";

/// Writes `space` itself, or a reference to it.
pub(super) fn write(out: &mut Writer, space: &Space, sink: &mut Sink<'_>) -> Result<()> {
    let mut own = Writer::with_capacity(40 * space.params.len() + 8);
    own.array(space.params.len());
    for param in &space.params {
        write_param(&mut own, param)?;
    }
    if own.len() <= INLINE_SPACE {
        out.embed(&own.into_bytes());
        return Ok(());
    }
    sink.put(out, BlobKind::Space, &own.into_bytes()).map(|_: Digest| ())
}

fn write_param(out: &mut Writer, param: &Param) -> Result<()> {
    let name = || format!("a bound or the start of the parameter “{}”", param.name);
    match &param.kind {
        Kind::Real { min, max, log } => {
            out.array(6);
            out.text(&param.name);
            out.text("real");
            out.float(*min, name)?;
            out.float(*max, name)?;
            out.bool(*log);
        }
        Kind::Integer { min, max, log } => {
            out.array(6);
            out.text(&param.name);
            out.text("integer");
            out.int(*min);
            out.int(*max);
            out.bool(*log);
        }
        Kind::Categorical { choices } => {
            out.array(4);
            out.text(&param.name);
            out.text("categorical");
            out.array(choices.len());
            choices.iter().for_each(|choice| out.text(choice));
        }
    }
    match param.init {
        Some(init) => out.float(init, name),
        None => {
            out.null();
            Ok(())
        }
    }
}

/// Reads what [`write`] writes; a reference is followed with `fetch`.
pub(super) fn read<E: From<Error>>(
    from: &mut Reader<'_>,
    fetch: &mut dyn FnMut(&BlobRef) -> std::result::Result<Option<Bytes>, E>,
) -> std::result::Result<Space, E> {
    if from.kind()? == cbor::Kind::Array {
        let before = from.left();
        let space = read_params(from)?;
        if before - from.left() > INLINE_SPACE {
            return Err(from.fault("a space that is too large to ride in a body").into());
        }
        return Ok(space);
    }
    let Content::Stored(blob) = read_content(from, BlobKind::Space, "")? else {
        return Err(from.fault("a parameter space is expected").into());
    };
    let bytes = fetch(&blob)?.ok_or_else(|| Error::Missing(WHAT.to_owned()))?;
    if bytes.len() <= INLINE_SPACE {
        return Err(from.fault("a space that should ride in the body").into());
    }
    let mut own = Reader::new(&bytes, WHAT);
    let space = read_params(&mut own)?;
    own.end()?;
    Ok(space)
}

fn read_params(from: &mut Reader<'_>) -> Result<Space> {
    let count = from.array()?;
    let params = (0..count).map(|_| read_param(from)).collect::<Result<_>>()?;
    Ok(Space { params })
}

fn read_param(from: &mut Reader<'_>) -> Result<Param> {
    let fields = from.array()?;
    let name = from.text()?.to_owned();
    let kind = match (from.text()?, fields) {
        ("real", 6) => Kind::Real { min: from.float()?, max: from.float()?, log: from.bool()? },
        ("integer", 6) => Kind::Integer { min: from.int()?, max: from.int()?, log: from.bool()? },
        ("categorical", 4) => {
            let count = from.array()?;
            let choice = |_| from.text().map(str::to_owned);
            Kind::Categorical { choices: (0..count).map(choice).collect::<Result<_>>()? }
        }
        _ => return Err(from.fault("a parameter of unknown type")),
    };
    Ok(Param { name, kind, init: from.option(Reader::float)? })
}
