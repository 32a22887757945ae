//! Manifests, chunks and leases.

use bytes::{BufMut, Bytes, BytesMut};

use super::basics::{id, id_bytes, required, text};
use super::{WireError, v1};
use crate::copy::{ChunkRef, CopyRefusal, Digest, FileEntry, Manifest};
use crate::message::{CopyChunkRequest, CopyMetaRequest, HoldCheckpoint};
use crate::{SessionId, SnapshotId};

const DIGEST_BYTES: usize = 16;

impl From<&FileEntry> for v1::File {
    fn from(file: &FileEntry) -> Self {
        let mut digests = BytesMut::with_capacity(file.digests.len() * DIGEST_BYTES);
        for digest in &file.digests {
            digests.put_u128(digest.0);
        }
        v1::File {
            name: file.name.clone(),
            size: file.size,
            digests: digests.freeze(),
        }
    }
}

impl TryFrom<v1::File> for FileEntry {
    type Error = WireError;

    fn try_from(file: v1::File) -> Result<Self, WireError> {
        let (digests, rest) = file.digests.as_chunks::<DIGEST_BYTES>();
        if !rest.is_empty() {
            return Err(WireError::Digests(file.name, file.digests.len()));
        }
        let digests = digests
            .iter()
            .map(|bytes| Digest(u128::from_be_bytes(*bytes)))
            .collect();
        Ok(FileEntry {
            name: file.name,
            size: file.size,
            digests,
        })
    }
}

impl From<&Manifest> for v1::Manifest {
    fn from(manifest: &Manifest) -> Self {
        v1::Manifest {
            snapshot: id_bytes(manifest.snapshot().0),
            position: Some(manifest.position().into()),
            history: Some(manifest.history().into()),
            chunk_bytes: manifest.chunk_bytes(),
            files: manifest.files().iter().map(v1::File::from).collect(),
        }
    }
}

impl TryFrom<v1::Manifest> for Manifest {
    type Error = WireError;

    fn try_from(manifest: v1::Manifest) -> Result<Self, WireError> {
        let files: Result<Vec<_>, _> = manifest.files.into_iter().map(FileEntry::try_from).collect();
        Ok(Manifest::new(
            SnapshotId(id("manifest.snapshot", &manifest.snapshot)?),
            required("manifest.position", manifest.position)?.try_into()?,
            required("manifest.history", manifest.history)?.try_into()?,
            manifest.chunk_bytes,
            files?,
        )?)
    }
}

impl From<CopyRefusal> for v1::CopyRefusal {
    fn from(refusal: CopyRefusal) -> Self {
        use v1::copy_refusal::Reason;
        let reason = match refusal {
            CopyRefusal::Busy => Reason::Busy(v1::Empty {}),
            CopyRefusal::Gone => Reason::Gone(v1::Empty {}),
            CopyRefusal::UnknownSession => Reason::UnknownSession(v1::Empty {}),
            CopyRefusal::Corrupt(file) => Reason::Corrupt(file),
            CopyRefusal::NoSpace(cause) => Reason::NoSpace(cause),
            CopyRefusal::Refused(cause) => Reason::Refused(cause),
        };
        v1::CopyRefusal { reason: Some(reason) }
    }
}

impl TryFrom<v1::CopyRefusal> for CopyRefusal {
    type Error = WireError;

    fn try_from(refusal: v1::CopyRefusal) -> Result<Self, WireError> {
        use v1::copy_refusal::Reason;
        Ok(match required("copy_refusal.reason", refusal.reason)? {
            Reason::Busy(_) => CopyRefusal::Busy,
            Reason::Gone(_) => CopyRefusal::Gone,
            Reason::UnknownSession(_) => CopyRefusal::UnknownSession,
            Reason::Corrupt(file) => CopyRefusal::Corrupt(text(file)),
            Reason::NoSpace(cause) => CopyRefusal::NoSpace(text(cause)),
            Reason::Refused(cause) => CopyRefusal::Refused(text(cause)),
        })
    }
}

impl From<Result<&Manifest, CopyRefusal>> for v1::CopyMetaReply {
    fn from(reply: Result<&Manifest, CopyRefusal>) -> Self {
        use v1::copy_meta_reply::Result as Wire;
        let result = match reply {
            Ok(manifest) => Wire::Manifest(manifest.into()),
            Err(refusal) => Wire::Refused(refusal.into()),
        };
        v1::CopyMetaReply { result: Some(result) }
    }
}

impl TryFrom<v1::CopyMetaReply> for Result<Manifest, CopyRefusal> {
    type Error = WireError;

    fn try_from(reply: v1::CopyMetaReply) -> Result<Self, WireError> {
        use v1::copy_meta_reply::Result as Wire;
        Ok(match required("copy_meta_reply", reply.result)? {
            Wire::Manifest(manifest) => Ok(manifest.try_into()?),
            Wire::Refused(refusal) => Err(refusal.try_into()?),
        })
    }
}

impl From<Result<Bytes, CopyRefusal>> for v1::CopyChunkReply {
    fn from(reply: Result<Bytes, CopyRefusal>) -> Self {
        use v1::copy_chunk_reply::Result as Wire;
        let result = match reply {
            Ok(data) => Wire::Data(data),
            Err(refusal) => Wire::Refused(refusal.into()),
        };
        v1::CopyChunkReply { result: Some(result) }
    }
}

impl TryFrom<v1::CopyChunkReply> for Result<Bytes, CopyRefusal> {
    type Error = WireError;

    fn try_from(reply: v1::CopyChunkReply) -> Result<Self, WireError> {
        use v1::copy_chunk_reply::Result as Wire;
        Ok(match required("copy_chunk_reply", reply.result)? {
            Wire::Data(data) => Ok(data),
            Wire::Refused(refusal) => Err(refusal.try_into()?),
        })
    }
}

impl From<Result<(), CopyRefusal>> for v1::HoldCheckpointReply {
    fn from(reply: Result<(), CopyRefusal>) -> Self {
        use v1::hold_checkpoint_reply::Result as Wire;
        let result = match reply {
            Ok(()) => Wire::Done(v1::Empty {}),
            Err(refusal) => Wire::Refused(refusal.into()),
        };
        v1::HoldCheckpointReply { result: Some(result) }
    }
}

impl TryFrom<v1::HoldCheckpointReply> for Result<(), CopyRefusal> {
    type Error = WireError;

    fn try_from(reply: v1::HoldCheckpointReply) -> Result<Self, WireError> {
        use v1::hold_checkpoint_reply::Result as Wire;
        Ok(match required("hold_checkpoint_reply", reply.result)? {
            Wire::Done(_) => Ok(()),
            Wire::Refused(refusal) => Err(refusal.try_into()?),
        })
    }
}

impl From<CopyMetaRequest> for v1::CopyMetaRequest {
    fn from(request: CopyMetaRequest) -> Self {
        v1::CopyMetaRequest {
            session: request.session.0,
            partition: Some(request.partition.into()),
            reject: request.reject.map(|snapshot| id_bytes(snapshot.0)),
        }
    }
}

impl TryFrom<v1::CopyMetaRequest> for CopyMetaRequest {
    type Error = WireError;

    fn try_from(request: v1::CopyMetaRequest) -> Result<Self, WireError> {
        let reject = request.reject.map(|bytes| id("reject", &bytes)).transpose()?;
        Ok(CopyMetaRequest {
            session: SessionId(request.session),
            partition: required("partition", request.partition)?.into(),
            reject: reject.map(SnapshotId),
        })
    }
}

impl From<CopyChunkRequest> for v1::CopyChunkRequest {
    fn from(request: CopyChunkRequest) -> Self {
        v1::CopyChunkRequest {
            session: request.session.0,
            partition: Some(request.partition.into()),
            snapshot: id_bytes(request.snapshot.0),
            file: request.chunk.file,
            chunk: request.chunk.chunk,
        }
    }
}

impl TryFrom<v1::CopyChunkRequest> for CopyChunkRequest {
    type Error = WireError;

    fn try_from(request: v1::CopyChunkRequest) -> Result<Self, WireError> {
        Ok(CopyChunkRequest {
            session: SessionId(request.session),
            partition: required("partition", request.partition)?.into(),
            snapshot: SnapshotId(id("snapshot", &request.snapshot)?),
            chunk: ChunkRef {
                file: request.file,
                chunk: request.chunk,
            },
        })
    }
}

impl From<HoldCheckpoint> for v1::HoldCheckpointRequest {
    fn from(request: HoldCheckpoint) -> Self {
        use v1::hold_checkpoint_request::What;
        let what = if request.renew {
            What::Renew(v1::Empty {})
        } else {
            What::Release(v1::Empty {})
        };
        v1::HoldCheckpointRequest {
            session: request.session.0,
            partition: Some(request.partition.into()),
            snapshot: id_bytes(request.snapshot.0),
            what: Some(what),
        }
    }
}

impl TryFrom<v1::HoldCheckpointRequest> for HoldCheckpoint {
    type Error = WireError;

    fn try_from(request: v1::HoldCheckpointRequest) -> Result<Self, WireError> {
        use v1::hold_checkpoint_request::What;
        Ok(HoldCheckpoint {
            session: SessionId(request.session),
            partition: required("partition", request.partition)?.into(),
            snapshot: SnapshotId(id("snapshot", &request.snapshot)?),
            renew: match required("hold_checkpoint_request.what", request.what)? {
                What::Renew(_) => true,
                What::Release(_) => false,
            },
        })
    }
}
