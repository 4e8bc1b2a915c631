// The window of a convolution or a pooling, and the images that it slides over: of what is read, and of what comes of it.
// `top` and `left` are the pixels of padding before the first row and column.

struct Window {
    h: u32,
    w: u32,
    out_h: u32,
    out_w: u32,
    kernel_h: u32,
    kernel_w: u32,
    stride_h: u32,
    stride_w: u32,
    top: i32,
    left: i32,
}
