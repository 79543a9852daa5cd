"""Networks of timm and torchvision that tests build as they are, and their published counts."""

from typing import NamedTuple

from resomap.models.registry import find_named


class PublishedCount(NamedTuple):
    """Multiply-accumulates in billions of one image of `side` px, with 1000 classes."""

    side: int
    gmacs: float


TIMM = {
    "resnet10t": PublishedCount(224, 1.1),
    "resnetv2_18": PublishedCount(288, 3.0),
    "resnext26ts": PublishedCount(288, 3.07),
    "convnext_atto": PublishedCount(288, 0.91),
    "convnextv2_atto": PublishedCount(288, 0.91),
    "efficientnet_lite0": PublishedCount(224, 0.4),
    "efficientnet_b0": PublishedCount(256, 0.52),
    "tf_efficientnetv2_b0": PublishedCount(224, 0.73),
    "mobilenetv2_050": PublishedCount(224, 0.1),
    "mobilenetv3_small_050": PublishedCount(224, 0.03),
    "mobilenetv4_conv_small_035": PublishedCount(256, 0.06),
    "mixnet_s": PublishedCount(224, 0.25),
    "ghostnet_050": PublishedCount(224, 0.05),
    "regnety_002": PublishedCount(224, 0.2),
    "dla34": PublishedCount(224, 3.07),
    "vgg11": PublishedCount(224, 7.61),
    "hgnetv2_b0": PublishedCount(288, 0.54),
    "repvgg_a0": PublishedCount(224, 1.52),
    "rexnet_100": PublishedCount(224, 0.41),
    "starnet_s1": PublishedCount(224, 0.42),
    "lcnet_035": PublishedCount(224, 0.03),
    "fasternet_t0": PublishedCount(224, 0.34),
    "inception_next_atto": PublishedCount(224, 0.5),
    "mambaout_femto": PublishedCount(288, 1.91),
    "vit_tiny_patch16_224": PublishedCount(224, 1.26),
    "deit_tiny_patch16_224": PublishedCount(224, 1.26),
    "deit_tiny_distilled_patch16_224": PublishedCount(224, 1.27),
    "vit_small_patch14_reg4_dinov2": PublishedCount(518, 46.95),
    "eva02_tiny_patch14_224": PublishedCount(224, 1.7),
    "pit_ti_224": PublishedCount(224, 0.7),
    "xcit_nano_12_p16_224": PublishedCount(224, 0.56),
    "swin_tiny_patch4_window7_224": PublishedCount(224, 4.51),
    "swinv2_tiny_window8_256": PublishedCount(256, 5.96),
    "mixer_s32_224": PublishedCount(224, 1.0),
    "pvt_v2_b0": PublishedCount(224, 0.57),
    "levit_128s": PublishedCount(224, 0.31),
    "edgenext_xx_small": PublishedCount(288, 0.33),
    "poolformer_s12": PublishedCount(224, 1.82),
    "efficientvit_b0": PublishedCount(224, 0.1),
    "mobilevitv2_050": PublishedCount(256, 0.48),
    "coatnet_pico_rw_224": PublishedCount(224, 2.05),
    "fastvit_t8": PublishedCount(256, 0.7),
}
"""`infer_gmacs` of results/benchmark-infer-amp-nchw-pt240-cu124-rtx4090.csv of
github.com/huggingface/pytorch-image-models at aa4b5850c154; of pt291-cu128-4090.csv beside it
for networks that are younger. timm counts with fvcore, and publishes two decimals."""
TORCHVISION = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "mnasnet0_5",
    "mnasnet1_0",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "regnet_x_400mf",
    "regnet_y_400mf",
    "regnet_x_800mf",
    "regnet_y_800mf",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnext50_32x4d",
    "wide_resnet50_2",
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0",
    "squeezenet1_0",
    "squeezenet1_1",
    "swin_t",
    "vgg11",
    "vgg11_bn",
    "vit_b_16",
    "vit_b_32",
    "maxvit_t",
]
"""Their published counts and sizes are in torchvision itself."""
NAMES = [f"timm/{name}" for name in TIMM] + [f"torchvision/{name}" for name in TORCHVISION]
SIDES = (64, 96, 224)
OTHER_SIDES = {
    "timm/vit_small_patch14_reg4_dinov2": (70, 98, 224),
    "timm/eva02_tiny_patch14_224": (70, 98, 224),
    "timm/swinv2_tiny_window8_256": (64, 128, 256),
    "timm/mobilevitv2_050": (64, 128, 256),
    "torchvision/inception_v3": (96, 128, 299),
    "torchvision/maxvit_t": (224, 448, 672),
}
UNPADDED = {"torchvision/alexnet", "torchvision/inception_v3"}
"""Networks whose convolutions lose cells at the border."""


def three_sides(name: str) -> tuple[int, ...]:
    """Return three sides of images that a network takes, in ascending order."""
    return OTHER_SIDES.get(name, SIDES)


def one_of_each_family() -> list[str]:
    """Return the first network of every family."""
    return list({find_named(name).family: name for name in reversed(NAMES)}.values())
