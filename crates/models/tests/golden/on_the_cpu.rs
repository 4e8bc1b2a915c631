//! Every network's numbers on the CPU.

use lungfish_engine::Cpu;
use lungfish_models::Architecture;

use crate::cam;
use crate::networks::{SMALL, check, check_adam, whole};

macro_rules! networks {
    ($($name:ident $adam:ident $whole:ident $architecture:ident $train:literal;)*) => {$(
        #[test]
        fn $name() {
            check(&Cpu::new(), Architecture::$architecture, SMALL, true);
        }

        #[test]
        fn $whole() {
            check(&Cpu::new(), Architecture::$architecture, whole(Architecture::$architecture), $train);
        }

        #[test]
        fn $adam() {
            check_adam(&Cpu::new(), Architecture::$architecture);
        }
    )*};
}

networks! {
    resnet18 resnet18_adam resnet18_at_224 Resnet18 false;
    resnet34 resnet34_adam resnet34_at_224 Resnet34 true;
    resnet50 resnet50_adam resnet50_at_224 Resnet50 false;
    efficientnet_lite0 efficientnet_lite0_adam efficientnet_lite0_at_224 EfficientnetLite0 true;
    efficientnet_lite1 efficientnet_lite1_adam efficientnet_lite1_at_240 EfficientnetLite1 false;
    efficientnet_lite2 efficientnet_lite2_adam efficientnet_lite2_at_260 EfficientnetLite2 false;
}

#[test]
fn maps_are_those_of_pytorch_grad_cam() {
    cam::check_maps(&Cpu::new());
}
