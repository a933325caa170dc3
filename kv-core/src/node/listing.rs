//! The list of the keys that this node holds, given in parts as far as the client has credit.

use alloc::format;
use alloc::vec::Vec;

use bytes::Bytes;

use super::Node;
use crate::codec;
use crate::disk::Disk;
use crate::error::RequestError;
use crate::eventual::{OBJECTS, parse_object_key};
use crate::id::{LogPosition, RequestId};
use crate::request::Reply;
use crate::storage::{Item, Unreadable};
use crate::version::Object;

/// How many entries are looked at for one part, so that a list never holds up other work.
const PART: usize = 1_024;

/// The next keys, the log position they depend on, and where to go on if there is more.
type Part = (Vec<Bytes>, LogPosition, Option<Vec<u8>>);

/// A list on its way.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    prefix: Bytes,
    /// Where to go on in the store.
    cursor: Vec<u8>,
    /// How many more keys the client can take.
    pub(super) credit: u32,
}

impl Listing {
    pub(super) fn new(prefix: Bytes, credit: u32) -> Self {
        Self { prefix, cursor: OBJECTS.to_vec(), credit }
    }
}

impl Node {
    /// Sends the next part, and ends the list when there is no more.
    pub(super) fn go_on_listing(&mut self, id: RequestId, mut listing: Listing, disk: &impl Disk) {
        while listing.credit > 0 {
            let (keys, after, rest) = match self.part(&listing, disk) {
                Ok(part) => part,
                Err(fault) => {
                    let words = format!("{fault}, so the list would have gaps; ask another node");
                    let error = Err(RequestError::Unavailable(words));
                    self.out.reply(id, LogPosition::START, error);
                    return;
                }
            };
            listing.credit -= u32::try_from(keys.len()).unwrap_or(u32::MAX).min(listing.credit);
            match rest {
                Some(cursor) => {
                    if !keys.is_empty() {
                        self.out.reply_part(id, after, Reply::Keys(keys));
                    }
                    listing.cursor = cursor;
                }
                None => {
                    self.out.reply(id, after, Ok(Reply::Keys(keys)));
                    return;
                }
            }
        }
        self.listings.insert(id, listing);
    }

    fn part(&self, listing: &Listing, disk: &impl Disk) -> Result<Part, Unreadable> {
        let mut keys = Vec::new();
        let mut after = LogPosition::START;
        let mut scan = self.store.scan_prefix(OBJECTS, &listing.cursor);
        let mut looked_at = 0;
        while let Some(Item { key: place, value, at }) = scan.next(disk)? {
            if looked_at >= PART || keys.len() as u64 >= u64::from(listing.credit) {
                return Ok((keys, after, Some(place.to_vec())));
            }
            looked_at += 1;
            let Some((_, key)) = parse_object_key(place) else { continue };
            let live = || codec::decode::<Object>(value).is_ok_and(|object| object.is_live());
            if key.starts_with(&listing.prefix) && live() {
                keys.push(Bytes::copy_from_slice(key));
                after = after.max(at);
            }
        }
        Ok((keys, after, None))
    }
}
