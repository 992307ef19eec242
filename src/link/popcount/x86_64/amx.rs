//! AMX multiplies tiles of 8-bit integers (TDPBSSD): 16 rows times 16 queries times 64 bits in 16 cycles.
//!
//! A set bit becomes the byte -1 and a product of two of them 1, so that a product of tiles counts common bits. The
//! rows' tile holds 64 bits of a row in a line; the queries' tile wants four bits of each query in a line, that is
//! nibbles, turned. Tile instructions have no intrinsics in stable Rust: they stand here as assembly.

use std::arch::asm;
use std::arch::x86_64::{
    __cpuid_count, __m512i, _mm512_add_epi32, _mm512_cmpge_epi32_mask, _mm512_load_si512, _mm512_max_epi32,
    _mm512_min_epi32, _mm512_movm_epi8, _mm512_set1_epi32, _mm512_store_si512, _mm512_sub_epi32,
};
use std::sync::LazyLock;

use super::{Avx512, Lanes, NOBODY};
use crate::link::popcount::Line;
use crate::link::popcount::sieve::{Pair, Queries, Side};

/// Proof that this CPU has AMX with 8-bit integers, and that the operating system lets this process use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::link::popcount) struct Amx(Avx512);

/// Rows, or queries, of a tile.
const TILE: usize = 16;
/// Queries, and rows, that are multiplied at once: two tiles of each make four of sums.
const BLOCK: usize = 2 * TILE;

impl Amx {
    pub fn detect() -> Option<Self> {
        static ALLOWED: LazyLock<bool> = LazyLock::new(|| has_tiles() && ask_for_tiles());
        let has = is_x86_feature_detected!("avx512bw") && *ALLOWED;
        Avx512::detect().filter(|_| has).map(Self)
    }

    /// For what is too little for tiles.
    pub fn avx512(self) -> Avx512 {
        self.0
    }

    pub fn tiles(self, queries: Side<'_>, read: usize) -> Tiles {
        // SAFETY: `self` exists only where the features were detected, and they are all that the function asks for.
        unsafe { turn(queries, read) }
    }

    pub fn sift(self, queries: &Queries<'_>, tiles: &Tiles, rows: Side<'_>, pairs: &mut Vec<Pair>) {
        // SAFETY: as above; and the operating system allowed tiles, for `ALLOWED` is true.
        unsafe { sift(queries, tiles, rows, pairs) }
    }
}

/// CPUID leaf 7: EDX bit 24 is AMX-TILE, bit 25 AMX-INT8.
fn has_tiles() -> bool {
    const TILES_OF_BYTES: u32 = 0b11 << 24;
    __cpuid_count(7, 0).edx & TILES_OF_BYTES == TILES_OF_BYTES
}

/// Linux saves a process's tiles only if it was asked to.
#[cfg(target_os = "linux")]
fn ask_for_tiles() -> bool {
    const ARCH_PRCTL: usize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const XFEATURE_XTILEDATA: usize = 18;
    let status: isize;
    // SAFETY: this system call takes two numbers and touches no memory of ours; RCX and R11 are what `syscall` changes.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL as isize => status,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    status == 0
}

#[cfg(not(target_os = "linux"))]
fn ask_for_tiles() -> bool {
    false
}

/// Queries as tiles: per 32 queries and per word that is read two tiles, filled up with zeros.
pub(in crate::link::popcount) struct Tiles {
    tiles: Vec<Line>,
    bounds: Vec<Bounds>,
}

/// What belongs to the queries, or the rows, of a tile.
#[derive(Clone, Copy)]
struct Bounds {
    need: Lanes,
    rest: Lanes,
}

impl Bounds {
    fn new(need: &[i32], rest: &[i32], first: usize) -> Self {
        let numbers = |numbers: &[i32], filler: i32| {
            Lanes(std::array::from_fn(|lane| numbers.get(first + lane).copied().unwrap_or(filler) as u32))
        };
        Self { need: numbers(need, NOBODY), rest: numbers(rest, 0) }
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn turn(queries: Side<'_>, read: usize) -> Tiles {
    let count = queries.len().next_multiple_of(BLOCK);
    let mut tiles = vec![Line([0; 8]); count * read];
    let code = |query: usize| queries.codes.get(query * queries.words..(query + 1) * queries.words);
    for (block, tiles) in tiles.chunks_exact_mut(BLOCK * read).enumerate() {
        for (place, tile) in tiles.chunks_exact_mut(TILE).enumerate() {
            let (word, first) = (place / 2, block * BLOCK + place % 2 * TILE);
            let words: [u64; TILE] = std::array::from_fn(|lane| code(first + lane).map_or(0, |code| code[word]));
            for (nibble, line) in tile.iter_mut().enumerate() {
                let nibbles = words.iter().rev().fold(0, |all, word| all << 4 | word >> (4 * nibble) & 15);
                store(line, _mm512_movm_epi8(nibbles));
            }
        }
    }
    let bounds = (0..count).step_by(TILE).map(|first| Bounds::new(queries.need, queries.rest, first)).collect();
    Tiles { tiles, bounds }
}

/// The rows' tiles: per word 32 lines of 64 bytes.
#[target_feature(enable = "avx512f,avx512bw")]
fn spread(rows: Side<'_>, first: usize, tiles: &mut [Line]) {
    let codes = rows.codes.chunks_exact(rows.words).skip(first).take(BLOCK);
    for (lane, code) in codes.enumerate() {
        for (word, lines) in code.iter().zip(tiles.chunks_exact_mut(BLOCK)) {
            store(&mut lines[lane], _mm512_movm_epi8(*word));
        }
    }
}

/// Sums of 32 rows and 32 queries: four tiles, the rows' first one with both of the queries first.
#[repr(C, align(64))]
struct Sums([[Lanes; TILE]; 4]);

#[target_feature(enable = "avx512f,avx512bw")]
fn sift(queries: &Queries<'_>, tiles: &Tiles, rows: Side<'_>, pairs: &mut Vec<Pair>) {
    let mut spread_rows = vec![Line([0; 8]); BLOCK * queries.read];
    let mut sums = [Sums([[Lanes([0; 16]); TILE]; 4]), Sums([[Lanes([0; 16]); TILE]; 4])];
    let _shape = TileShape::set();
    for first in (0..rows.len()).step_by(BLOCK) {
        spread(rows, first, &mut spread_rows);
        let of_rows = [0, TILE].map(|lane| Bounds::new(rows.need, rows.rest, first + lane));
        // The sums of one block are looked at while the next one is multiplied.
        let mut last: Option<usize> = None;
        for (block, tiles_of_block) in tiles.tiles.chunks_exact(BLOCK * queries.read).enumerate() {
            multiply(&spread_rows, tiles_of_block);
            if let Some(last) = last {
                look(&sums[last % 2], &of_rows, &tiles.bounds[2 * last..][..2], (last * BLOCK, first), pairs);
            }
            take(&mut sums[block % 2]);
            last = Some(block);
        }
        if let Some(last) = last {
            look(&sums[last % 2], &of_rows, &tiles.bounds[2 * last..][..2], (last * BLOCK, first), pairs);
        }
    }
}

/// Appends the pairs of a block that may overlap enough.
#[inline]
#[target_feature(enable = "avx512f")]
fn look(sums: &Sums, of_rows: &[Bounds; 2], of_queries: &[Bounds], at: (usize, usize), pairs: &mut Vec<Pair>) {
    for (wide, asked) in of_queries.iter().enumerate() {
        let (need, rest) = (load(&asked.need), load(&asked.rest));
        let mut best = _mm512_set1_epi32(-NOBODY);
        for (high, of_rows) in of_rows.iter().enumerate() {
            for row in 0..TILE {
                let beyond = beyond(&sums.0[2 * high + wide][row], rest, of_rows, row);
                best = _mm512_max_epi32(best, beyond);
            }
        }
        if _mm512_cmpge_epi32_mask(best, need) != 0 {
            for (high, of_rows) in of_rows.iter().enumerate() {
                let at = (at.0 + wide * TILE, at.1 + high * TILE);
                note(&sums.0[2 * high + wide], asked, of_rows, at, pairs);
            }
        }
    }
}

/// What 16 queries and a row could overlap in, beyond the row's share of the need.
#[inline]
#[target_feature(enable = "avx512f")]
fn beyond(sums: &Lanes, rest: __m512i, of_rows: &Bounds, row: usize) -> __m512i {
    let most = _mm512_min_epi32(rest, _mm512_set1_epi32(of_rows.rest.0[row] as i32));
    let most = _mm512_add_epi32(load(sums), most);
    _mm512_sub_epi32(most, _mm512_set1_epi32(of_rows.need.0[row] as i32))
}

#[cold]
#[target_feature(enable = "avx512f")]
fn note(sums: &[Lanes; TILE], asked: &Bounds, of_rows: &Bounds, at: (usize, usize), pairs: &mut Vec<Pair>) {
    let (need, rest) = (load(&asked.need), load(&asked.rest));
    for (row, sums) in sums.iter().enumerate() {
        let mut near = _mm512_cmpge_epi32_mask(beyond(sums, rest, of_rows, row), need);
        while near != 0 {
            let query = at.0 as u32 + near.trailing_zeros();
            pairs.push(Pair { query, row: (at.1 + row) as u32 });
            near &= near - 1;
        }
    }
}

/// Products of 32 rows and 32 queries into tiles 0 to 3.
#[inline]
#[target_feature(enable = "avx512f")]
fn multiply(rows: &[Line], queries: &[Line]) {
    assert_eq!(rows.len(), queries.len());
    assert!(rows.len().is_multiple_of(BLOCK));
    // SAFETY: tiles have their shape, for `sift` holds a `TileShape`. A load reads 16 lines: per round the 32 lines of
    // a word of the rows and as many of the queries, and both slices have 32 a round. Only tiles are written.
    unsafe {
        asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nomem, nostack));
        for (rows, queries) in rows.chunks_exact(BLOCK).zip(queries.chunks_exact(BLOCK)) {
            asm!(
                "tileloadd tmm4, [{rows} + {line}*1]",
                "tileloadd tmm6, [{queries} + {line}*1]",
                "tdpbssd tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{queries} + {line}*1 + 1024]",
                "tdpbssd tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{rows} + {line}*1 + 1024]",
                "tdpbssd tmm2, tmm5, tmm6",
                "tdpbssd tmm3, tmm5, tmm7",
                rows = in(reg) rows.as_ptr(),
                queries = in(reg) queries.as_ptr(),
                line = in(reg) size_of::<Line>(),
                options(readonly, nostack),
            );
        }
    }
}

/// Tiles 0 to 3 into memory.
#[inline]
#[target_feature(enable = "avx512f")]
fn take(sums: &mut Sums) {
    // SAFETY: four tiles of 16 lines of 64 bytes are what `Sums` is.
    unsafe {
        asm!(
            "tilestored [{sums} + {line}*1], tmm0",
            "tilestored [{sums} + {line}*1 + 1024], tmm1",
            "tilestored [{sums} + {line}*1 + 2048], tmm2",
            "tilestored [{sums} + {line}*1 + 3072], tmm3",
            sums = in(reg) &raw mut *sums,
            line = in(reg) size_of::<Line>(),
            options(nostack),
        );
    }
}

/// While it lives, this thread's tiles are 16 lines of 64 bytes.
struct TileShape;

impl TileShape {
    #[target_feature(enable = "avx512f")]
    fn set() -> Self {
        /// Layout of the tile configuration: palette, start row, 14 reserved bytes, bytes a line, lines.
        #[repr(C, align(64))]
        struct Config {
            palette: u8,
            start: u8,
            reserved: [u8; 14],
            line_bytes: [u16; 16],
            lines: [u8; 16],
        }
        let eight = |value: u8| std::array::from_fn(|tile| if tile < 8 { value } else { 0 });
        let line_bytes = eight(64).map(u16::from);
        let config = Config { palette: 1, start: 0, reserved: [0; 14], line_bytes, lines: eight(16) };
        // SAFETY: a valid configuration of 64 bytes for palette 1; an `Amx` exists, so that the CPU has tiles.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const config, options(readonly, nostack)) };
        Self
    }
}

impl Drop for TileShape {
    fn drop(&mut self) {
        // SAFETY: only made where the CPU has tiles; nobody reads them after this.
        unsafe { asm!("tilerelease", options(nomem, nostack)) };
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(lanes: &Lanes) -> __m512i {
    // SAFETY: `Lanes` are 64 readable bytes, aligned to 64 as this load wants.
    unsafe { _mm512_load_si512((&raw const *lanes).cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(line: &mut Line, bytes: __m512i) {
    // SAFETY: a `Line` is 64 writable bytes, aligned to 64 as this store wants.
    unsafe { _mm512_store_si512((&raw mut *line).cast(), bytes) }
}
