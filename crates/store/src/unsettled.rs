//! Reading ranges while RocksDB takes no writes, because the disk is full: what is published and cannot be settled is laid
//! over a snapshot instead.

use std::sync::Arc;

use rocksdb::SnapshotWithThreadMode;

use crate::known::UnsettledWrite;
use crate::rows::Row;
use crate::{Cf, Direction, SpaceId, Store};

/// Everything that is published and not settled, each key once, in order.
pub(crate) struct Unsettled {
    epoch: u64,
    rows: Vec<Row>,
}

type Order<'r> = (SpaceId, u8, &'r [u8]);

fn order(row: &Row) -> Order<'_> {
    (row.space(), row.cf() as u8, row.key())
}

impl Unsettled {
    /// The newest write to a key, if it is not settled; `Some(None)` is a deletion.
    pub(crate) fn get(&self, space: SpaceId, cf: Cf, key: &[u8]) -> Option<Option<&[u8]>> {
        let wanted = (space, cf as u8, key);
        let at = self.rows.binary_search_by(|row| order(row).cmp(&wanted)).ok()?;
        Some(self.rows[at].value())
    }

    /// The writes in a range, in the order in which it is scanned.
    pub(crate) fn range(
        &self,
        (space, cf): (SpaceId, Cf),
        lower: &[u8],
        upper: Option<&[u8]>,
        direction: Direction,
    ) -> Vec<UnsettledWrite> {
        let start = self.rows.partition_point(|row| order(row) < (space, cf as u8, lower));
        let within = |row: &&Row| row.space() == space && row.cf() == cf && upper.is_none_or(|upper| row.key() < upper);
        let rows = self.rows[start..].iter().take_while(within);
        let mut writes: Vec<_> = rows
            .map(|row| (row.key().to_vec(), row.value().map(<[u8]>::to_vec)))
            .collect();
        if direction == Direction::Reverse {
            writes.reverse();
        }
        writes
    }
}

impl Store {
    /// What is not settled, and a snapshot of RocksDB that goes with it.
    pub(crate) fn unsettled(&self) -> (Arc<Unsettled>, SnapshotWithThreadMode<'_, rocksdb::DB>) {
        // While nothing is written, nothing changes.
        let last = self.unsettled.lock().clone();
        if let Some(last) = last.filter(|last| last.epoch == self.epoch()) {
            let snapshot = self.db().snapshot();
            if last.epoch == self.epoch() {
                return (last, snapshot);
            }
        }
        let settler = self.settler.lock();
        let published = self.published.lock();
        // Lists in which a key stands only once, the newest first: a stable sort keeps them so.
        let lists = [&published.dirty.rows].into_iter().chain(settler.retry.iter().rev());
        let mut rows: Vec<Row> = lists.flatten().map(|dirty| dirty.row.clone()).collect();
        let (epoch, snapshot) = (self.epoch(), self.db().snapshot());
        drop((published, settler));
        rows.sort_by(|a, b| order(a).cmp(&order(b)));
        rows.dedup_by(|later, first| order(later) == order(first));
        let unsettled = Arc::new(Unsettled { epoch, rows });
        *self.unsettled.lock() = Some(unsettled.clone());
        (unsettled, snapshot)
    }
}
