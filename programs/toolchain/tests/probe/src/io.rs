//! Reading the input, writing the results.

pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn bytes(&mut self, n: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(n);
        self.0 = rest;
        head
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.bytes(N).try_into().unwrap()
    }

    pub fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    pub fn u128(&mut self) -> u128 {
        u128::from_le_bytes(self.array())
    }

    /// The next pair of words, while there is one.
    pub fn pair64(&mut self) -> Option<(u64, u64)> {
        (self.0.len() >= 16).then(|| (self.u64(), self.u64()))
    }

    pub fn pair128(&mut self) -> Option<(u128, u128)> {
        (self.0.len() >= 32).then(|| (self.u128(), self.u128()))
    }
}

pub struct Output {
    buffer: [u8; 1024],
    used: usize,
}

impl Output {
    pub fn new() -> Self {
        Self { buffer: [0; 1024], used: 0 }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.used]
    }

    pub fn put(&mut self, data: &[u8]) {
        self.buffer[self.used..self.used + data.len()].copy_from_slice(data);
        self.used += data.len();
    }

    pub fn u64(&mut self, x: u64) {
        self.put(&x.to_le_bytes())
    }

    pub fn i64(&mut self, x: i64) {
        self.put(&x.to_le_bytes())
    }

    pub fn u128(&mut self, x: u128) {
        self.put(&x.to_le_bytes())
    }

    pub fn i128(&mut self, x: i128) {
        self.put(&x.to_le_bytes())
    }

    pub fn bools(&mut self, all: &[bool]) {
        for x in all {
            self.put(&[*x as u8]);
        }
    }

    pub fn opt64(&mut self, x: Option<u64>) {
        self.bools(&[x.is_some()]);
        self.u64(x.unwrap_or(0));
    }

    pub fn opt_i64(&mut self, x: Option<i64>) {
        self.opt64(x.map(|x| x as u64));
    }

    pub fn opt128(&mut self, x: Option<u128>) {
        self.bools(&[x.is_some()]);
        self.u128(x.unwrap_or(0));
    }

    pub fn opt_i128(&mut self, x: Option<i128>) {
        self.opt128(x.map(|x| x as u128));
    }
}
