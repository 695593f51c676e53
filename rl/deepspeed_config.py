"""What DeepSpeed is told about one learner rank."""

from __future__ import annotations

from typing import Any

from rl.types import LearnerSettings


def deepspeed_config(settings: LearnerSettings) -> dict[str, Any]:
    """The DeepSpeed configuration of one rank; its batch sizes are placeholders."""
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False,
        "gradient_clipping": 0.0 if clips_itself(settings) else settings.config.grad_clip,
        "zero_optimization": {
            "stage": settings.config.zero_stage,
            "overlap_comm": False,
            "stage3_gather_16bit_weights_on_model_save": False,
        },
        "zero_allow_untested_optimizer": True,
        "bf16": {"enabled": settings.dtype == "bfloat16"},
        "steps_per_print": 2**31,
    }


def clips_itself(settings: LearnerSettings) -> bool:
    """Plain fp32 training: there DeepSpeed does not tell the norm, so clipping is ours."""
    return settings.config.zero_stage == 0 and settings.dtype == "float32"
