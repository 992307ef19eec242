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
use std::ops::Range;
use std::sync::LazyLock;

use super::{Avx512, Lanes, Line, NOBODY};
use crate::link::popcount::sieve::{Pair, Queries, Side};

/// Proof that this CPU has AMX with 8-bit integers, and that the operating system lets this process use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::link::popcount) struct Amx(Avx512);

/// Rows, or queries, of a tile.
const TILE: usize = 16;
/// Queries, and rows, that are multiplied at once: two tiles of each make four of sums.
const BLOCK: usize = 2 * TILE;
/// Words of a part: rows and queries of so many fit into the L1 cache (48 KiB) together.
const PART: usize = 12;

impl Amx {
    pub fn detect() -> Option<Self> {
        static ALLOWED: LazyLock<bool> = LazyLock::new(|| has_tiles() && ask_for_tiles());
        let has = is_x86_feature_detected!("avx512bw") && *ALLOWED;
        Avx512::detect().filter(|_| has).map(Self)
    }

    /// For what tiles do not pay for.
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

/// Sums of 32 rows and twice 16 queries.
#[derive(Clone)]
#[repr(C, align(64))]
struct Sums([[Lanes; 2]; BLOCK]);

/// Rows that are held against all queries.
struct Rows {
    /// Per word 32 lines of 64 bytes.
    tiles: Vec<Line>,
    need: [i32; BLOCK],
    rest: [i32; BLOCK],
    /// Position of the first one.
    first: usize,
}

#[target_feature(enable = "avx512f,avx512bw")]
fn sift(queries: &Queries<'_>, tiles: &Tiles, rows: Side<'_>, pairs: &mut Vec<Pair>) {
    let tiles_of_rows = vec![Line([0; 8]); BLOCK * queries.read];
    let mut block = Rows { tiles: tiles_of_rows, need: [NOBODY; BLOCK], rest: [0; BLOCK], first: 0 };
    let blocks = tiles.bounds.len() / 2;
    let parts = queries.read.div_ceil(PART);
    let part = queries.read.div_ceil(parts).max(1);
    // Sums of all parts but the last, and of the block that is looked at.
    let mut partial = vec![Sums::EMPTY; if parts > 1 { blocks } else { 0 }];
    let mut sums = Sums::EMPTY;
    let _shape = TileShape::set();
    for first in (0..rows.len()).step_by(BLOCK) {
        block.take(rows, first);
        for words in (0..(parts - 1) * part).step_by(part).map(|start| start..start + part) {
            for (at, partial) in partial.iter_mut().enumerate() {
                let so_far = (words.start > 0).then_some(&*partial);
                multiply(block.tiles_of(&words), tiles.of(at, &words, queries.read), so_far, None);
                take(partial);
            }
        }
        let words = (parts - 1) * part..queries.read;
        // The sums of one block of queries are looked at while the next one is multiplied.
        let mut before = None;
        for at in 0..blocks {
            let looked_at = before.map(|before| Looked { sums: &sums, bounds: tiles.bounds_of(before), rows: &block });
            let near = multiply(block.tiles_of(&words), tiles.of(at, &words, queries.read), partial.get(at), looked_at);
            if let (true, Some(before)) = (near, before) {
                note(&sums, tiles.bounds_of(before), &block, before * BLOCK, pairs);
            }
            take(&mut sums);
            before = Some(at);
        }
        if let Some(last) = before {
            note(&sums, tiles.bounds_of(last), &block, last * BLOCK, pairs);
        }
    }
}

/// Sums that are looked at, and what belongs to them.
#[derive(Clone, Copy)]
struct Looked<'a> {
    sums: &'a Sums,
    bounds: [&'a Bounds; 2],
    rows: &'a Rows,
}

impl Sums {
    const EMPTY: Self = Self([[Lanes([0; 16]); 2]; BLOCK]);
}

impl Tiles {
    /// Some words of a block.
    fn of(&self, block: usize, words: &Range<usize>, read: usize) -> &[Line] {
        &self.tiles[block * BLOCK * read..][words.start * BLOCK..words.end * BLOCK]
    }

    fn bounds_of(&self, block: usize) -> [&Bounds; 2] {
        [&self.bounds[2 * block], &self.bounds[2 * block + 1]]
    }
}

impl Rows {
    /// Some words.
    fn tiles_of(&self, words: &Range<usize>) -> &[Line] {
        &self.tiles[words.start * BLOCK..words.end * BLOCK]
    }

    /// Takes 32 rows, or as many as there are from `first` on. Places that are left over keep old codes and need too
    /// much.
    #[target_feature(enable = "avx512f,avx512bw")]
    fn take(&mut self, rows: Side<'_>, first: usize) {
        self.first = first;
        self.need = [NOBODY; BLOCK];
        for (lane, row) in (first..rows.len().min(first + BLOCK)).enumerate() {
            (self.need[lane], self.rest[lane]) = (rows.need[row], rows.rest[row]);
            let code = &rows.codes[row * rows.words..][..rows.words];
            for (word, lines) in code.iter().zip(self.tiles.chunks_exact_mut(BLOCK)) {
                store(&mut lines[lane], _mm512_movm_epi8(*word));
            }
        }
    }
}

/// Multiplies rows and queries into tiles 0 to 3, on top of what the sums are so far, and tells whether any of the sums
/// that are looked at may be enough. Both at once, for one waits for the multiplier and the other for nothing.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn multiply(rows: &[Line], queries: &[Line], so_far: Option<&Sums>, looked_at: Option<Looked<'_>>) -> bool {
    assert_eq!(rows.len(), queries.len(), "as many words of both");
    let steps = queries.len() / BLOCK;
    // The sums were stored a moment ago; looking at them at once would wait for them.
    let pause = steps / 3;
    let rows_a_step = BLOCK.div_ceil(steps - pause);
    let mut unseen = 0..BLOCK;
    let mut best = [_mm512_set1_epi32(-NOBODY); 2];
    begin(so_far);
    for (step, (of_rows, of_queries)) in rows.chunks_exact(BLOCK).zip(queries.chunks_exact(BLOCK)).enumerate() {
        // SAFETY: tiles have their shape, for `sift` holds a `TileShape`. A load reads 16 lines, and both chunks have
        // 32. Only tiles are written.
        unsafe {
            asm!(
                "tileloadd tmm4, [{rows} + {line}*1]",
                "tileloadd tmm6, [{queries} + {line}*1]",
                "tdpbssd tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{queries} + {line}*1 + 1024]",
                "tdpbssd tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{rows} + {line}*1 + 1024]",
                "tdpbssd tmm2, tmm5, tmm6",
                "tdpbssd tmm3, tmm5, tmm7",
                rows = in(reg) of_rows.as_ptr(),
                queries = in(reg) of_queries.as_ptr(),
                line = in(reg) size_of::<Line>(),
                options(readonly, nostack),
            );
        }
        let Some(looked_at) = looked_at else { continue };
        let now = if step < pause { 0 } else { rows_a_step };
        for row in unseen.by_ref().take(now) {
            for (wide, best) in best.iter_mut().enumerate() {
                let beyond = beyond(looked_at.sums, looked_at.bounds, looked_at.rows, (row, wide));
                *best = _mm512_max_epi32(*best, beyond);
            }
        }
    }
    let Some(Looked { bounds, .. }) = looked_at else { return false };
    let near = |wide: usize| _mm512_cmpge_epi32_mask(best[wide], load(&bounds[wide].need));
    near(0) | near(1) != 0
}

/// Tiles 0 to 3 out of memory, or empty.
#[inline]
#[target_feature(enable = "avx512f")]
fn begin(so_far: Option<&Sums>) {
    let Some(sums) = so_far else {
        // SAFETY: tiles have their shape, for `sift` holds a `TileShape`. Only tiles are written.
        unsafe { asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nomem, nostack)) };
        return;
    };
    // SAFETY: as above; and what is read is `Sums`, as `take` wrote them.
    unsafe {
        asm!(
            "tileloadd tmm0, [{sums} + {row}*1]",
            "tileloadd tmm1, [{sums} + {row}*1 + 64]",
            "tileloadd tmm2, [{sums} + {row}*1 + 2048]",
            "tileloadd tmm3, [{sums} + {row}*1 + 2112]",
            sums = in(reg) &raw const *sums,
            row = in(reg) 2 * size_of::<Line>(),
            options(readonly, nostack),
        );
    }
}

/// What 16 queries and a row could overlap in, beyond the row's share of the need.
#[inline]
#[target_feature(enable = "avx512f")]
fn beyond(sums: &Sums, bounds: [&Bounds; 2], rows: &Rows, (row, wide): (usize, usize)) -> __m512i {
    let most = _mm512_min_epi32(load(&bounds[wide].rest), _mm512_set1_epi32(rows.rest[row]));
    let most = _mm512_add_epi32(load(&sums.0[row][wide]), most);
    _mm512_sub_epi32(most, _mm512_set1_epi32(rows.need[row]))
}

/// Appends the pairs of a block that may overlap enough.
#[inline(never)]
#[target_feature(enable = "avx512f")]
fn note(sums: &Sums, bounds: [&Bounds; 2], rows: &Rows, first: usize, pairs: &mut Vec<Pair>) {
    for row in 0..BLOCK {
        let near = |wide: usize| {
            let beyond = beyond(sums, bounds, rows, (row, wide));
            u32::from(_mm512_cmpge_epi32_mask(beyond, load(&bounds[wide].need)))
        };
        let mut near = near(0) | near(1) << TILE;
        while near != 0 {
            let query = first as u32 + near.trailing_zeros();
            pairs.push(Pair { query, row: (rows.first + row) as u32 });
            near &= near - 1;
        }
    }
}

/// Tiles 0 to 3 into memory.
#[inline]
#[target_feature(enable = "avx512f")]
fn take(sums: &mut Sums) {
    // SAFETY: four tiles of 16 lines of 64 bytes are what `Sums` is: a row of two tiles side by side is 128 bytes.
    unsafe {
        asm!(
            "tilestored [{sums} + {row}*1], tmm0",
            "tilestored [{sums} + {row}*1 + 64], tmm1",
            "tilestored [{sums} + {row}*1 + 2048], tmm2",
            "tilestored [{sums} + {row}*1 + 2112], tmm3",
            sums = in(reg) &raw mut *sums,
            row = in(reg) 2 * size_of::<Line>(),
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
