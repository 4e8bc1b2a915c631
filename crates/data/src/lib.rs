//! A folder of chest X-rays in, batches of pixels out.
