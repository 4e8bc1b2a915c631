//! Matrix multiplication: the `gemm` crate behind checked slices.

/// A matrix inside a slice: element `(row, column)` lies at `row * row_stride + column * column_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of consecutive elements, `stride` apart.
    pub(crate) fn rows(data: &'a [f32], stride: usize) -> Self {
        Matrix { data, row_stride: stride, column_stride: 1 }
    }

    /// The transpose.
    pub(crate) fn t(self) -> Self {
        Matrix { data: self.data, row_stride: self.column_stride, column_stride: self.row_stride }
    }

    fn holds(&self, rows: usize, columns: usize) -> bool {
        rows == 0 || columns == 0 || (rows - 1) * self.row_stride + (columns - 1) * self.column_stride < self.data.len()
    }
}

/// `y = a * b`, or `y += a * b`: `y` is `m` by `n` in rows `y_stride` apart, `a` is `m` by `k`, `b` is `k` by `n`.
/// On the calling thread alone: the order of the sums then depends on the shape only.
///
/// The `gemm` crate is at its best when `b` has consecutive columns (it is then read without a transposing
/// pack) and `a` has consecutive elements along `k` or along `m`.
pub(crate) fn gemm([m, n, k]: [usize; 3], a: Matrix, b: Matrix, y: &mut [f32], y_stride: usize, accumulate: bool) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(a.holds(m, k) && b.holds(k, n), "operand of a product is too short");
    assert!(n <= y_stride && (m - 1) * y_stride + n <= y.len(), "result of a product is too short");
    // SAFETY: every element that gemm reads is inside `a.data` and `b.data` and every element it writes inside `y`,
    // as the asserts above have just checked for the largest index of each (strides are not negative); `n <= y_stride`
    // keeps the rows of `y` apart; `y` is borrowed exclusively, so it overlaps neither operand.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            y.as_mut_ptr(),
            1,
            y_stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "operand of a product is too short")]
    fn short_operand_is_refused() {
        gemm([2, 2, 2], Matrix::rows(&[0.0; 3], 2), Matrix::rows(&[0.0; 4], 2), &mut [0.0; 4], 2, false);
    }

    #[test]
    #[should_panic(expected = "result of a product is too short")]
    fn overlapping_rows_are_refused() {
        gemm([2, 2, 2], Matrix::rows(&[0.0; 4], 2), Matrix::rows(&[0.0; 4], 2), &mut [0.0; 4], 1, false);
    }

    #[test]
    fn strides_and_accumulation() {
        // a = [[1, 2], [3, 4]] stored by columns, b = [[5, 6], [7, 8]].
        let (a, b) = ([1.0, 3.0, 2.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
        let mut y = [f32::NAN, f32::NAN, -1.0, f32::NAN, f32::NAN];
        gemm([2, 2, 2], Matrix::rows(&a, 2).t(), Matrix::rows(&b, 2), &mut y, 3, false);
        assert_eq!(y, [19.0, 22.0, -1.0, 43.0, 50.0]);
        gemm([2, 2, 2], Matrix::rows(&a, 2).t(), Matrix::rows(&b, 2), &mut y, 3, true);
        assert_eq!(y, [38.0, 44.0, -1.0, 86.0, 100.0]);
    }
}
