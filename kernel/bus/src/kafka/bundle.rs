//! Many records in one of Kafka's, whose cost is by the record and by the request.
//!
//! A bundle is a byte that says how it is written, 1, and then its records one after the
//! other: the key and the payload's length, 8 and 4 bytes in network order, and the payload.

use bytes::{Buf, BufMut, Bytes};

use crate::Record;

/// The way in which bundles are written.
const WRITTEN: u8 = 1;
/// Bytes in one bundle, about: a record that is larger has one of its own.
const BYTES: usize = 512 * 1024;
/// Bytes of a record besides its payload.
const HEAD: usize = 12;

/// Packs records, in their order.
pub(super) fn pack(records: &[Record]) -> Vec<Vec<u8>> {
    let mut bundles: Vec<Vec<u8>> = Vec::new();
    for Record { key, payload } in records {
        let Ok(length) = u32::try_from(payload.len()) else {
            continue;
        };
        let size = bundles.last().map_or(BYTES, Vec::len);
        if size + HEAD + payload.len() > BYTES {
            bundles.push(vec![WRITTEN]);
        }
        if let Some(bundle) = bundles.last_mut() {
            bundle.put_u64(*key);
            bundle.put_u32(length);
            bundle.put_slice(payload);
        }
    }
    bundles
}

/// Takes the records out that are wanted; `None` when the rest cannot be read.
pub(super) fn unpack(
    mut bundle: &[u8],
    wanted: impl Fn(u64) -> bool,
    mut take: impl FnMut(Record),
) -> Option<()> {
    if bundle.try_get_u8().ok()? != WRITTEN {
        return None;
    }
    while !bundle.is_empty() {
        let key = bundle.try_get_u64().ok()?;
        let length = usize::try_from(bundle.try_get_u32().ok()?).ok()?;
        let (payload, rest) = bundle.split_at_checked(length)?;
        bundle = rest;
        if wanted(key) {
            let payload = Bytes::copy_from_slice(payload);
            take(Record { key, payload });
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: u64, size: usize) -> Record {
        let payload = vec![u8::try_from(key).unwrap(); size].into();
        Record { key, payload }
    }

    fn unpacked(bundle: &[u8], wanted: impl Fn(u64) -> bool) -> Option<Vec<Record>> {
        let mut records = Vec::new();
        unpack(bundle, wanted, |record| records.push(record)).map(|()| records)
    }

    #[test]
    fn what_is_packed_is_there_again_in_order() {
        let records: Vec<Record> = (1..=9)
            .map(|key| record(key, usize::from(key > 3)))
            .collect();
        let bundles = pack(&records);
        assert_eq!(bundles.len(), 1);
        assert_eq!(unpacked(&bundles[0], |_| true), Some(records.clone()));
        assert_eq!(
            unpacked(&bundles[0], |key| key == 5),
            Some(vec![record(5, 1)])
        );
        assert_eq!(pack(&[]), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn bundles_are_bounded_and_a_large_record_has_its_own() {
        let sizes = [400_000, 100_000, 100_000, 512 * 1024, 7];
        let records: Vec<Record> = (1..)
            .zip(sizes)
            .map(|(key, size)| record(key, size))
            .collect();
        let bundles = pack(&records);
        let keys = |bundle: &Vec<u8>| -> Vec<u64> {
            let records = unpacked(bundle, |_| true).unwrap();
            records.iter().map(|record| record.key).collect()
        };
        let keys: Vec<Vec<u64>> = bundles.iter().map(keys).collect();
        assert_eq!(keys, [vec![1, 2], vec![3], vec![4], vec![5]]);
    }

    #[test]
    fn what_is_no_bundle_is_not_read() {
        let mut bundle = pack(&[record(1, 5), record(2, 5)]).remove(0);
        bundle.pop();
        for bytes in [&b""[..], &[2], &[1, 0, 0], &bundle] {
            assert_eq!(unpacked(bytes, |_| true), None, "{bytes:?}");
        }
    }
}
