//! Zip archives byte by byte, honest or not (APPNOTE 6.3.10, section 4.3).

/// An entry, and what its headers say of it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: Vec<u8>,
    pub data: Vec<u8>,
    pub method: u16,
    pub flags: u16,
    pub crc: u32,
    pub compressed: u32,
    pub uncompressed: u32,
    /// Unix mode.
    pub mode: u32,
}

impl Entry {
    /// A stored file.
    pub fn file(name: &str, data: impl Into<Vec<u8>>) -> Self {
        let data = data.into();
        let size = data.len() as u32;
        Entry {
            name: name.as_bytes().to_vec(),
            crc: crc32(&data),
            compressed: size,
            uncompressed: size,
            data,
            method: 0,
            // The name is UTF-8.
            flags: 1 << 11,
            mode: 0o100_644,
        }
    }

    pub fn folder(name: &str) -> Self {
        Entry::file(name, "").mode(0o040_755)
    }

    pub fn mode(self, mode: u32) -> Self {
        Entry { mode, ..self }
    }

    pub fn crc(self, crc: u32) -> Self {
        Entry { crc, ..self }
    }

    pub fn sizes(self, compressed: u32, uncompressed: u32) -> Self {
        Entry { compressed, uncompressed, ..self }
    }

    pub fn method(self, method: u16) -> Self {
        Entry { method, ..self }
    }

    pub fn flags(self, flags: u16) -> Self {
        Entry { flags: self.flags | flags, ..self }
    }

    /// What stands in both headers, from the version on.
    fn common(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for short in [20, self.flags, self.method, 0, 0x21] {
            bytes.extend(u16::to_le_bytes(short));
        }
        for long in [self.crc, self.compressed, self.uncompressed] {
            bytes.extend(long.to_le_bytes());
        }
        bytes.extend((self.name.len() as u16).to_le_bytes());
        bytes.extend([0, 0]);
        bytes
    }

    /// Local header and data.
    pub fn local(&self) -> Vec<u8> {
        [b"PK\x03\x04".as_slice(), &self.common(), &self.name, &self.data].concat()
    }

    /// The entry of the list, for a local header at `at`.
    pub fn central(&self, at: u32) -> Vec<u8> {
        // Made by Unix.
        let mut bytes = [b"PK\x01\x02\x14\x03".as_slice(), &self.common()].concat();
        bytes.extend([0; 6]);
        bytes.extend((self.mode << 16).to_le_bytes());
        bytes.extend(at.to_le_bytes());
        bytes.extend(&self.name);
        bytes
    }
}

/// An archive of entries.
pub fn zip(entries: &[Entry]) -> Vec<u8> {
    let (archive, placed) = locals(entries);
    finish(archive, &placed)
}

fn locals(entries: &[Entry]) -> (Vec<u8>, Vec<(Entry, u32)>) {
    let mut archive = Vec::new();
    let mut placed = Vec::new();
    for entry in entries {
        placed.push((entry.clone(), archive.len() as u32));
        archive.extend(entry.local());
    }
    (archive, placed)
}

/// Adds the list, each entry with the place that it gives, and its end.
pub fn finish(mut archive: Vec<u8>, entries: &[(Entry, u32)]) -> Vec<u8> {
    let start = archive.len();
    entries.iter().for_each(|(entry, at)| archive.extend(entry.central(*at)));
    let (length, count) = ((archive.len() - start) as u32, (entries.len() as u16).to_le_bytes());
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend([count, count].concat());
    archive.extend(length.to_le_bytes());
    archive.extend((start as u32).to_le_bytes());
    archive.extend([0, 0]);
    archive
}

/// As [`zip`], for more entries than 16 bits can count.
pub fn zip64(entries: &[Entry]) -> Vec<u8> {
    let (mut archive, placed) = locals(entries);
    let start = archive.len();
    placed.iter().for_each(|(entry, at)| archive.extend(entry.central(*at)));
    end64(&mut archive, start, entries.len() as u64);
    archive
}

/// The three records that end a zip64 archive whose list goes from `start` to here.
pub fn end64(archive: &mut Vec<u8>, start: usize, count: u64) {
    let (end, length) = (archive.len() as u64, (archive.len() - start) as u64);
    archive.extend(b"PK\x06\x06");
    archive.extend(44u64.to_le_bytes());
    archive.extend([45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for long in [count, count, length, start as u64] {
        archive.extend(long.to_le_bytes());
    }
    archive.extend(b"PK\x06\x07\0\0\0\0");
    archive.extend(end.to_le_bytes());
    archive.extend(1u32.to_le_bytes());
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend([0xff; 12]);
    archive.extend([0, 0]);
}

/// CRC-32 of zip (reflected 0x04c11db7), bit by bit.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8)
            .fold(crc ^ u32::from(*byte), |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}
