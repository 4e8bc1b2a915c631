//! Shapes of all values of a graph for one image size.

use crate::{EngineError, Graph, Op, ValueId, Window};

/// Channels, height and width of one film's value; a vector has height and width 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Channels or features.
    pub c: usize,
    /// Height, pixels.
    pub h: usize,
    /// Width, pixels.
    pub w: usize,
}

impl Shape {
    /// Elements a film.
    pub fn len(self) -> usize {
        self.c * self.h * self.w
    }

    /// Whether there is no element.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Pixels a film.
    pub fn pixels(self) -> usize {
        self.h * self.w
    }
}

fn slide(name: &str, x: Shape, c: usize, window: &Window) -> Result<Shape, EngineError> {
    let [top, left, bottom, right] = window.padding.resolve([x.h, x.w], window.kernel, window.stride);
    let (h, w) = (x.h + top + bottom, x.w + left + right);
    if h < window.kernel[0] || w < window.kernel[1] {
        return Err(EngineError::Shape {
            what: format!(
                "{name}: an image of {} by {} is smaller than its {} by {} window; use larger images",
                x.h, x.w, window.kernel[0], window.kernel[1]
            ),
        });
    }
    Ok(Shape { c, h: (h - window.kernel[0]) / window.stride[0] + 1, w: (w - window.kernel[1]) / window.stride[1] + 1 })
}

impl Graph {
    /// The shape of every value, by [`ValueId::index`], for images of `height` by `width` pixels.
    ///
    /// # Errors
    /// [`EngineError::Shape`] where the image is too small for a window, or a node's inputs do
    /// not fit each other.
    pub fn shapes(&self, height: usize, width: usize) -> Result<Vec<Shape>, EngineError> {
        let mut shapes = vec![Shape { c: self.channels(Graph::INPUT), h: height, w: width }; self.values()];
        for node in self.nodes() {
            let x = shapes[node.inputs[0].0];
            let c = self.channels(node.output);
            let y = match &node.op {
                Op::Conv { window, groups, .. } => {
                    if *groups == 0 || !x.c.is_multiple_of(*groups) || !c.is_multiple_of(*groups) {
                        return Err(EngineError::Shape {
                            what: format!("{}: {} channels to {c} cannot be cut into {groups} groups", node.name, x.c),
                        });
                    }
                    slide(&node.name, x, c, window)?
                }
                Op::MaxPool { window } => slide(&node.name, x, c, window)?,
                Op::GlobalAveragePool => Shape { c, h: 1, w: 1 },
                Op::Gemm { .. } | Op::LogSoftmax => {
                    if x.pixels() != 1 {
                        return Err(EngineError::Shape {
                            what: format!(
                                "{}: {} needs vectors, not {} by {} images",
                                node.name,
                                node.op.name(),
                                x.h,
                                x.w
                            ),
                        });
                    }
                    Shape { c, ..x }
                }
                Op::Add => {
                    let other = shapes[node.inputs[1].0];
                    if other != x {
                        return Err(EngineError::Shape {
                            what: format!("{}: cannot add {other:?} to {x:?}", node.name),
                        });
                    }
                    x
                }
                _ => x,
            };
            shapes[node.output.0] = y;
        }
        Ok(shapes)
    }

    /// Shape of one value; see [`Graph::shapes`].
    ///
    /// # Errors
    /// As [`Graph::shapes`].
    pub fn shape(&self, value: ValueId, height: usize, width: usize) -> Result<Shape, EngineError> {
        Ok(self.shapes(height, width)?[value.0])
    }
}
