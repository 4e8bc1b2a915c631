//! How what is generic over the type of values is compiled once, in this crate, for the two types that there are. Generic functions are
//! compiled anew by each crate that calls them, and the kernels are most of what there is to compile.

/// A trait of functions with their bodies, which become those of `f32` and of [`Bf16`](crate::Bf16); outside this crate nobody names
/// them.
macro_rules! compiled {
    ($(#[$about:meta])* pub trait $name:ident: $bound:ident $functions:tt) => {
        compiled!(@declared $(#[$about])* $name: $bound $functions);
        compiled!(@defined $name for f32 $functions);
        compiled!(@defined $name for crate::Bf16 $functions);
    };
    (@declared $(#[$about:meta])* $name:ident: $bound:ident {
        $(fn $function:ident($($argument:ident: $type:ty),* $(,)?) $body:block)*
    }) => {
        $(#[$about])*
        pub trait $name: $bound {
            $(
                #[doc(hidden)]
                fn $function($($argument: $type),*);
            )*
        }
    };
    (@defined $name:ident for $value:ty {
        $(fn $function:ident($($argument:ident: $type:ty),* $(,)?) $body:block)*
    }) => {
        impl $name for $value {
            $(
                fn $function($($argument: $type),*) $body
            )*
        }
    };
}
