//! What a server or a file name promises about the bytes, and whether they keep it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use sha2::Sha256;

/// What is promised; all that are given must be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Promise {
    /// From the server.
    pub md5: Option<[u8; 16]>,
    /// From the server; only looked at where there is no MD5 (object storage gives composed objects none).
    pub crc32c: Option<u32>,
    /// The first hexadecimal digits of the SHA-256, from whoever asked.
    pub sha256: Option<String>,
}

impl Promise {
    /// From the values of `x-goog-hash` (`crc32c=AAAAAA==,md5=...`), one header or more.
    pub(crate) fn from_headers<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut promise = Promise::default();
        for part in values.flat_map(|value| value.split(',')) {
            let Some((name, value)) = part.trim().split_once('=') else { continue };
            let Ok(bytes) = BASE64_STANDARD.decode(value) else { continue };
            match name {
                "md5" => promise.md5 = bytes.try_into().ok(),
                "crc32c" => promise.crc32c = bytes.try_into().ok().map(u32::from_be_bytes),
                _ => {}
            }
        }
        promise
    }

    /// Whether wrong bytes would be noticed.
    pub(crate) fn is_some(&self) -> bool {
        self.md5.is_some() || self.crc32c.is_some() || self.sha256.is_some()
    }
}

/// A promise that was broken.
#[derive(Debug)]
pub(crate) struct Broken {
    pub kind: &'static str,
    pub expected: String,
    pub found: String,
}

/// Looks at bytes as they come and says in the end whether a [`Promise`] was kept.
pub(crate) struct Check {
    promise: Promise,
    md5: Option<Md5>,
    sha256: Option<Sha256>,
    crc32c: Option<u32>,
}

impl Check {
    pub(crate) fn new(promise: &Promise) -> Self {
        Check {
            promise: promise.clone(),
            md5: promise.md5.map(|_| Md5::new()),
            sha256: promise.sha256.as_ref().map(|_| Sha256::new()),
            crc32c: promise.crc32c.filter(|_| promise.md5.is_none()).map(|_| 0),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        if let Some(crc) = &mut self.crc32c {
            *crc = crc32c(*crc, bytes);
        }
    }

    pub(crate) fn finish(self) -> Result<(), Broken> {
        let compare = |kind, expected: Option<String>, found: Option<String>| match (expected, found) {
            (Some(expected), Some(found)) if !found.starts_with(&expected) => Err(Broken { kind, expected, found }),
            _ => Ok(()),
        };
        compare("MD5", self.promise.md5.map(|md5| hex(&md5)), self.md5.map(|md5| hex(&md5.finalize())))?;
        compare(
            "SHA-256",
            self.promise.sha256.map(|prefix| prefix.to_ascii_lowercase()),
            self.sha256.map(|sha256| hex(&sha256.finalize())),
        )?;
        let crc = |crc: u32| format!("{crc:08x}");
        compare("CRC-32C", self.promise.crc32c.map(crc), self.crc32c.map(crc))
    }
}

/// Hexadecimal digits, small letters.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // A string takes all that is written to it.
        text
    })
}

/// CRC-32C (Castagnoli) going on from `crc`, 0 at the beginning.
fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut n = 0;
        while n < 256 {
            let mut crc = n as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
                bit += 1;
            }
            table[n] = crc;
            n += 1;
        }
        table
    };
    !bytes.iter().fold(!crc, |crc, byte| TABLE[((crc ^ u32::from(*byte)) & 255) as usize] ^ (crc >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(promise: &Promise, bytes: &[u8]) -> Result<(), Broken> {
        let mut check = Check::new(promise);
        bytes.chunks(3).for_each(|chunk| check.update(chunk));
        check.finish()
    }

    #[test]
    fn known_values() {
        assert_eq!(crc32c(0, b"123456789"), 0xe306_9283);
        // RFC 1321 and FIPS 180-2.
        let promise = Promise::from_headers(["crc32c=AAAAAA==", "md5=kAFQmDzST7DWlj99KOF/cg=="].into_iter());
        assert_eq!(hex(&promise.md5.unwrap()), "900150983cd24fb0d6963f7d28e17f72");
        kept(&promise, b"abc").unwrap();
        let wrong = kept(&promise, b"abd").unwrap_err();
        assert_eq!((wrong.kind, wrong.expected.as_str()), ("MD5", "900150983cd24fb0d6963f7d28e17f72"));
        let promise = Promise { sha256: Some("BA7816bf".into()), ..Promise::default() };
        kept(&promise, b"abc").unwrap();
        assert_eq!(kept(&promise, b"abd").unwrap_err().kind, "SHA-256");
    }

    #[test]
    fn a_composed_object_has_a_crc_only() {
        let promise = Promise::from_headers(["crc32c=4waSgw==, nonsense, md5=!!"].into_iter());
        assert_eq!(promise, Promise { crc32c: Some(0xe306_9283), ..Promise::default() });
        kept(&promise, b"123456789").unwrap();
        assert_eq!(kept(&promise, b"123456780").unwrap_err().kind, "CRC-32C");
        assert!(!Promise::from_headers(["", "md5=AAAA"].into_iter()).is_some());
    }
}
