//! SCAN and its family, and KEYS.
//!
//! Elements are shown in the order of their bytes, so an element that is there during the whole
//! scan is shown exactly once, whatever else changes. A cursor has to name the place where a scan
//! stopped in 63 bits: it is the number of a remembered place and, in case that place has been
//! forgotten (there is room for 32,767) or the daemon was restarted, the first four bytes of it,
//! from which the scan then goes on; elements are shown again then, but none is left out.
//!
//! ```text
//! 0 | place:15 | generation:16 | first four bytes:32
//! ```

use super::access::{Access, Slot, SubRange};
use super::entry::{Form, Kind};
use super::{glob, zsets};
use helios_types::Result;
use parking_lot::Mutex;

const PLACES: usize = 1 << 15;

#[derive(Default)]
struct Places {
    places: Vec<(u16, Box<[u8]>)>,
    next: usize,
}

/// Where the scans of all clients stopped.
#[derive(Default)]
pub struct Cursors {
    places: Mutex<Places>,
}

fn leading(bytes: &[u8]) -> u32 {
    let mut four = [0; 4];
    for (to, from) in four.iter_mut().zip(bytes) {
        *to = *from;
    }
    u32::from_be_bytes(four)
}

impl Cursors {
    /// A cursor that goes on behind `last`.
    pub fn save(&self, last: &[u8]) -> u64 {
        let mut places = self.places.lock();
        if places.places.is_empty() {
            // Place zero is never given out, so that no cursor is zero.
            places.places.push((0, Box::default()));
        }
        let at = match places.places.len() {
            length if length < PLACES => {
                places.places.push((0, Box::default()));
                length
            }
            _ => {
                places.next = places.next % (PLACES - 1) + 1;
                places.next
            }
        };
        let generation = places.places[at].0.wrapping_add(1);
        places.places[at] = (generation, last.into());
        (at as u64) << 48 | u64::from(generation) << 32 | u64::from(leading(last))
    }

    /// The place behind which a cursor goes on; `None` at the start, and when it has been forgotten.
    pub fn last(&self, cursor: u64) -> Option<Vec<u8>> {
        let (at, generation) = ((cursor >> 48) as usize, (cursor >> 32) as u16);
        let places = self.places.lock();
        match places.places.get(at) {
            Some((known, last)) if cursor != 0 && *known == generation => {
                (leading(last) == cursor as u32).then(|| last.to_vec())
            }
            _ => None,
        }
    }

    /// The first bytes that the scan of `cursor` may show next.
    fn resume(&self, cursor: u64) -> Vec<u8> {
        if cursor == 0 {
            return Vec::new();
        }
        let (at, generation) = ((cursor >> 48) as usize, (cursor >> 32) as u16);
        let places = self.places.lock();
        match places.places.get(at) {
            Some((known, last)) if *known == generation && leading(last) == cursor as u32 => {
                [last, &[0][..]].concat()
            }
            _ => {
                let four = (cursor as u32).to_be_bytes();
                let length = 4 - four.iter().rev().take_while(|byte| **byte == 0).count();
                four[..length].to_vec()
            }
        }
    }
}

/// The options of SCAN.
#[derive(Clone, Copy, Debug)]
pub struct ScanRequest<'p> {
    pub cursor: u64,
    pub pattern: Option<&'p [u8]>,
    /// How many elements are looked at.
    pub count: usize,
}

impl ScanRequest<'_> {
    fn matches(&self, element: &[u8]) -> bool {
        self.pattern
            .is_none_or(|pattern| glob::matches(pattern, element))
    }

    /// Everything that can match lies between these; the end is exclusive.
    fn bounds(&self, cursors: &Cursors) -> (Vec<u8>, Option<Vec<u8>>) {
        let prefix = self.pattern.map(glob::literal_prefix).unwrap_or_default();
        let low = cursors.resume(self.cursor).max(prefix.clone());
        let high = if prefix.is_empty() {
            None
        } else {
            helios_storage::prefix_successor(&prefix)
        };
        (low, high)
    }
}

/// Some elements, and the cursor that goes on behind them; zero when all have been shown.
#[derive(Debug, Default)]
pub struct Page<T> {
    pub cursor: u64,
    pub elements: Vec<T>,
}

impl Access<'_> {
    /// SCAN; only keys of one kind when `kind` says so.
    pub fn scan_keys(
        &mut self,
        request: ScanRequest<'_>,
        kind: Option<Kind>,
    ) -> Result<Page<Vec<u8>>> {
        let (low, high) = request.bounds(self.keyspace().cursors());
        let mut page = Page::default();
        let mut seen = 0;
        let mut last = Vec::new();
        self.entry_scan(&low, high.as_deref(), false, &mut |key, _, entry| {
            if seen == request.count {
                page.cursor = 1;
                return Ok(false);
            }
            seen += 1;
            if kind.is_none_or(|kind| kind == entry.kind) && request.matches(key) {
                page.elements.push(key.to_vec());
            }
            if seen == request.count {
                last = key.to_vec();
            }
            Ok(true)
        })?;
        if page.cursor != 0 {
            page.cursor = self.keyspace().cursors().save(&last);
        }
        Ok(page)
    }

    /// KEYS: shows every matching key.
    pub fn match_keys(&mut self, pattern: &[u8], each: &mut dyn FnMut(&[u8])) -> Result<()> {
        let request = ScanRequest {
            cursor: 0,
            pattern: Some(pattern),
            count: 0,
        };
        let (low, high) = request.bounds(self.keyspace().cursors());
        let all = pattern == b"*";
        self.entry_scan(&low, high.as_deref(), false, &mut |key, _, _| {
            if all || request.matches(key) {
                each(key);
            }
            Ok(true)
        })
    }

    /// HSCAN, SSCAN and ZSCAN: the member or field, and the value or the score's bytes beside it. A
    /// small collection comes in one page.
    pub fn scan_elements(
        &mut self,
        slot: &Slot<'_>,
        request: ScanRequest<'_>,
    ) -> Result<Page<(Vec<u8>, Vec<u8>)>> {
        let mut page = Page::default();
        let Some(entry) = slot.entry()? else {
            return Ok(page);
        };
        let Form::Large(meta) = entry.form else {
            page.elements = self.elements(slot)?;
            page.elements
                .retain(|(element, _)| request.matches(element));
            return Ok(page);
        };
        let within = if entry.kind == Kind::SortedSet {
            zsets::BY_MEMBER
        } else {
            &[]
        };
        let (low, high) = request.bounds(self.keyspace().cursors());
        let low = [within, &low].concat();
        let high = high.map(|high| [within, &high].concat());
        let range = SubRange {
            within,
            low: &low,
            high: high.as_deref(),
            reverse: false,
        };
        let mut seen = 0;
        let mut last = Vec::new();
        self.sub_scan(&meta.version, range, &mut |sub, value| {
            if seen == request.count {
                page.cursor = 1;
                return Ok(false);
            }
            seen += 1;
            let element = sub.get(within.len()..).unwrap_or_default();
            if request.matches(element) {
                page.elements.push((element.to_vec(), value.to_vec()));
            }
            if seen == request.count {
                last = element.to_vec();
            }
            Ok(true)
        })?;
        if page.cursor != 0 {
            page.cursor = self.keyspace().cursors().save(&last);
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_goes_on_behind_its_place_and_a_forgotten_one_before_it() {
        let cursors = Cursors::default();
        let first = cursors.save(b"user:123");
        assert_ne!(first, 0);
        assert_eq!(cursors.resume(first), b"user:123\0");
        for at in 0..PLACES {
            cursors.save(format!("other:{at}").as_bytes());
        }
        assert_eq!(cursors.resume(first), b"user");
        assert_eq!(cursors.resume(0), b"");
        assert_eq!(Cursors::default().resume(first), b"user");
    }
}
