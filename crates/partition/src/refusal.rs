//! Why writes are refused: the role, a full disk, a log or store that has failed.

use std::sync::atomic::Ordering;

use haypile_commands::CommandError;

use crate::CommitError;
use crate::partition::Shared;
use crate::role::READ_ONLY;

/// What is wrong with the disk, the log or the store.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) text: String,
    /// It may end by itself.
    pub(crate) no_space: bool,
}

impl Shared {
    /// The error for a write while writes are refused.
    pub(crate) fn refusal(&self) -> Option<CommandError> {
        self.refusal_by_role()
            .or_else(|| self.disk_refusal().map(CommandError::reply))
    }

    /// The same because of the role alone.
    pub(crate) fn refusal_by_role(&self) -> Option<CommandError> {
        if !self.following.load(Ordering::Acquire) {
            return None;
        }
        Some(match &self.replica {
            None => READ_ONLY,
            Some(_) => CommandError::reply(CommitError::NotLeader.to_string()),
        })
    }

    pub(crate) fn refusal_is_no_space(&self) -> Option<bool> {
        self.refusal.lock().as_ref().map(|r| r.no_space)
    }

    pub(crate) fn refuse(&self, error: &CommitError) {
        let no_space = matches!(error, CommitError::NoSpace(_));
        let mut refusal = self.refusal.lock();
        if !no_space && refusal.as_ref().is_none_or(|r| r.no_space) {
            match error {
                CommitError::Panicked(_) => tracing::error!(
                    %error,
                    "writes are refused until a restart: please report the panic above, then restart the server"
                ),
                _ => tracing::error!(
                    %error,
                    "writes are refused until a restart: check the disk first, then restart the server"
                ),
            }
        }
        if refusal.as_ref().is_none_or(|r| r.no_space || !no_space) {
            *refusal = Some(Refusal {
                text: error.to_string(),
                no_space,
            });
        }
        self.refused.store(true, Ordering::Release);
    }

    /// Accepts writes again if only room was missing; false if something else is wrong.
    pub(crate) fn accept_again(&self) -> bool {
        let mut refusal = self.refusal.lock();
        if refusal.as_ref().is_some_and(|refusal| !refusal.no_space) {
            return false;
        }
        *refusal = None;
        self.refused.store(false, Ordering::Release);
        true
    }

    /// Why nothing can be written, apart from the role.
    pub(crate) fn disk_refusal(&self) -> Option<String> {
        match self.refused.load(Ordering::Acquire) {
            true => self.refusal.lock().as_ref().map(|refusal| refusal.text.clone()),
            false => None,
        }
    }
}
