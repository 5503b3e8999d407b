"""Tiny models of images: nobody tuned anything for one of them."""

from tests.evolve.coupling.tiny_sizes import sizes

_VIT = {"image_size": 32, "patch_size": 8, "num_labels": 5}
VISION: dict[str, tuple[str, dict[str, object]]] = {
    "vit": ("ViTForImageClassification", {**sizes(), **_VIT}),
    "deit": ("DeiTForImageClassification", {**sizes(), **_VIT}),
    "beit": (
        "BeitForImageClassification",
        {**sizes(), **_VIT, "use_relative_position_bias": True, "layer_scale_init_value": 0.1},
    ),
    "beit_shared": (
        "BeitForImageClassification",
        {**sizes(), **_VIT, "use_shared_relative_position_bias": True},
    ),
    "swin": (
        "SwinForImageClassification",
        {
            "image_size": 32,
            "patch_size": 2,
            "embed_dim": 16,
            "depths": [2, 2],
            "num_heads": [2, 4],
            "window_size": 4,
            "num_labels": 5,
        },
    ),
    "swinv2": (
        "Swinv2ForImageClassification",
        {
            "image_size": 32,
            "patch_size": 2,
            "embed_dim": 16,
            "depths": [2, 2],
            "num_heads": [2, 4],
            "window_size": 4,
            "num_labels": 5,
        },
    ),
    "convnext": (
        "ConvNextForImageClassification",
        {"hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 2, 1], "num_labels": 5},
    ),
    "convnextv2": (
        "ConvNextV2ForImageClassification",
        {"hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 2, 1], "num_labels": 5},
    ),
    "resnet": (
        "ResNetForImageClassification",
        {"embedding_size": 8, "hidden_sizes": [16, 24], "depths": [2, 2], "num_labels": 5},
    ),
    "resnet_basic": (
        "ResNetForImageClassification",
        {
            "embedding_size": 8,
            "hidden_sizes": [8, 12],
            "depths": [2, 2],
            "layer_type": "basic",
            "num_labels": 5,
        },
    ),
    "regnet": (
        "RegNetForImageClassification",
        {
            "embedding_size": 8,
            "hidden_sizes": [16, 24],
            "depths": [2, 2],
            "groups_width": 4,
            "layer_type": "y",
            "num_labels": 5,
        },
    ),
    "bit": (
        "BitForImageClassification",
        {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [1, 2], "num_groups": 4, "num_labels": 5},
    ),
    "mobilenet_v1": ("MobileNetV1ForImageClassification", {"depth_multiplier": 0.25, "num_labels": 5}),
    "mobilenet_v2": ("MobileNetV2ForImageClassification", {"depth_multiplier": 0.25, "num_labels": 5}),
    "efficientnet": (
        "EfficientNetForImageClassification",
        {
            "width_coefficient": 1.0,
            "depth_coefficient": 1.0,
            "depth_divisor": 4,
            "in_channels": [32, 8, 12],
            "out_channels": [8, 12, 16],
            "depthwise_padding": [],
            "strides": [1, 2, 2],
            "kernel_sizes": [3, 3, 5],
            "num_block_repeats": [1, 1, 2],
            "expand_ratios": [1, 3, 3],
            "num_labels": 5,
        },
    ),
    "dinov2": ("Dinov2ForImageClassification", {**sizes(), **_VIT, "layerscale_value": 0.1}),
    "dinov2_swiglu": ("Dinov2ForImageClassification", {**sizes(), **_VIT, "use_swiglu_ffn": True}),
    "clip_vision": ("CLIPVisionModelWithProjection", {**sizes(), **_VIT, "projection_dim": 12}),
    "siglip": ("SiglipForImageClassification", {"vision_config": {**sizes(), **_VIT}, "num_labels": 5}),
    "segformer": (
        "SegformerForImageClassification",
        {
            "hidden_sizes": [8, 12, 16, 20],
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 2, 2, 2],
            "mlp_ratios": [2, 2, 2, 2],
            "num_labels": 5,
        },
    ),
    "pvt": (
        "PvtForImageClassification",
        {
            "image_size": 64,
            "hidden_sizes": [8, 12, 16, 20],
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 2, 2, 2],
            "mlp_ratios": [2, 2, 2, 2],
            "num_labels": 5,
        },
    ),
    "poolformer": (
        "PoolFormerForImageClassification",
        {"hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 1, 1], "mlp_ratio": 2.0, "num_labels": 5},
    ),
    "mobilevit": (
        "MobileViTForImageClassification",
        {
            "image_size": 64,
            "hidden_sizes": [16, 20, 24],
            "neck_hidden_sizes": [8, 8, 12, 16, 16, 20, 24],
            "num_attention_heads": 4,
            "mlp_ratio": 2.0,
            "num_labels": 5,
        },
    ),
    "focalnet": (
        "FocalNetForImageClassification",
        {
            "image_size": 32,
            "embed_dim": 8,
            "depths": [1, 1],
            "focal_levels": [2, 2],
            "focal_windows": [3, 3],
            "num_labels": 5,
        },
    ),
    "vit_msn": ("ViTMSNForImageClassification", {**sizes(), **_VIT}),
    "hiera": (
        "HieraForImageClassification",
        {
            "image_size": [32, 32],
            "embed_dim": 8,
            "depths": [1, 1],
            "num_heads": [1, 2],
            "query_stride": [2, 2],
            "masked_unit_size": [4, 4],
            "num_query_pool": 1,
            "patch_stride": [4, 4],
            "num_labels": 5,
        },
    ),
    "swiftformer": (
        "SwiftFormerForImageClassification",
        {
            "image_size": 64,
            "embed_dims": [8, 12, 16, 20],
            "depths": [1, 1, 1, 1],
            "mlp_ratio": 2,
            "num_labels": 5,
        },
    ),
}
"""Name -> class of transformers, and what its configuration differs in."""
