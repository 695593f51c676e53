"""Every key a run can set. The line under a field is its documentation (docs/configuration.md).

Collections are dictionaries keyed by name, because list items cannot be overridden on the command
line; where order matters an `order` key gives it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class StageKind(StrEnum):
    SFT = "sft"
    RL = "rl"


class Reduction(StrEnum):
    TOKEN = "token"
    SEQUENCE = "sequence"
    CONSTANT = "constant"


class Schedule(StrEnum):
    CONSTANT = "constant"
    LINEAR = "linear"
    COSINE = "cosine"


class ImportanceMode(StrEnum):
    OFF = "off"
    TRUNCATE = "truncate"
    MASK = "mask"


class LabelWeightMode(StrEnum):
    OFF = "off"
    LOSS = "loss"
    ADVANTAGE = "advantage"
    SAMPLING = "sampling"


class WandbMode(StrEnum):
    OFF = "off"
    OFFLINE = "offline"
    ONLINE = "online"


@dataclass
class BuildConfig:
    """A Qwen3-shaped model built from scratch, with a tokenizer trained on generated tasks."""

    num_layers: int = 3
    """Transformer blocks."""
    hidden_size: int = 128
    """Width of the residual stream."""
    intermediate_size: int = 384
    """Width of the gated feed-forward layer."""
    num_heads: int = 4
    """Attention heads; hidden_size / num_heads must be a head size of vLLM: 32, 64, 80, 96, 128."""
    num_kv_heads: int = 2
    """Key and value heads (grouped-query attention)."""
    vocab_size: int = 1024
    """Size of the byte-level vocabulary, special tokens included."""


@dataclass
class ModelConfig:
    path: str = ""
    """Directory or hub id of a Hugging Face causal language model; empty: build one as below."""
    revision: str = ""
    """Commit of a hub model, 40 hexadecimal digits; empty: its main branch."""
    dtype: str = "float32"
    """Parameter type of learner and engines: float32 or bfloat16."""
    max_length: int = 512
    """Longest sequence in tokens, prompt and answer together."""
    build: BuildConfig = field(default_factory=BuildConfig)
    """Shape of the model to build where `path` is empty."""


@dataclass
class RolloutConfig:
    workers: int = 1
    """Rollout workers, each one vLLM engine."""
    cpus: int = 1
    """CPU cores that one worker reserves, and its threads on a machine without GPUs."""
    gpus: int = 0
    """GPUs of one engine (tensor parallelism)."""
    max_num_seqs: int = 256
    """Sequences that one engine decodes at once."""
    kv_cache_gib: float = 1.0
    """Key-value cache of a CPU engine in GiB."""
    gpu_memory_utilization: float = 0.85
    """Share of a GPU's memory that an engine takes."""
    compile: bool = False
    """Compile the engine's model: a slower start, then faster decoding."""


@dataclass
class LearnerConfig:
    ranks: int = 1
    """Learner ranks (data-parallel), fixed within a run."""
    restarts: int = 2
    """Times a run starts again from its last checkpoint by itself after a rank was lost."""
    cpus: int = 1
    """CPU cores that one rank reserves, and its threads on a machine without GPUs."""
    gpus: int = 0
    """GPUs of one rank: 0 or 1."""
    colocate: bool = False
    """Each rank shares the GPU of one engine, which takes rollout.gpu_memory_utilization of it."""
    zero_stage: int = 0
    """DeepSpeed ZeRO stage, 0 to 3."""
    token_budget: int = 8192
    """Tokens of one packed micro-batch; halved when a step runs out of memory."""
    grad_clip: float = 1.0
    """Largest global gradient norm."""
    weight_decay: float = 0.0
    """AdamW weight decay."""
    activation_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third slower."""
    flash_attention: bool = False
    """Use flash-attn (GPU only); otherwise PyTorch's scaled dot-product attention."""
    compile: bool = False
    """Compile the learner's model with torch.compile."""


@dataclass
class PublishConfig:
    max_logprob_difference: float = 0.0
    """Largest |engine - learner| log-probability of an engine that serves; 0: 1e-4, bf16 0.2."""
    num_probes: int = 4
    """Sequences in the probe set."""
    max_mismatch_kl: float = 0.1
    """Mean KL between engine and learner on a training batch over which the run stops."""


@dataclass
class RewardConfig:
    workers: int = 1
    """Reward workers."""
    verifier: str = "numeric"
    """A built-in verifier, or "package.module:attribute"."""
    args: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the verifier."""
    check_s: float = 2.0
    """One rule check of one sample; over it its process is ended and there is no verdict."""
    routes: dict[str, Any] = field(default_factory=dict)
    """Who scores a kind of task, its label "task" or its env: see Route in rewards/routing.py."""
    judge: dict[str, Any] = field(default_factory=dict)
    """A server's url and model, or the model of an engine; see JudgeSettings, launch/judging.py."""
    max_no_verdict: float = 0.5
    """The run ends when over max_empty_steps steps more samples of a kind have no verdict."""


@dataclass
class HostsConfig:
    workers: int = 1
    """Environment hosts; started where a stage, or the evaluation, has max_turns over 1."""
    cpus: int = 1
    """CPU cores that one host reserves, and the processes in which it plays episodes."""
    tool_limits: dict[str, Any] = field(default_factory=dict)
    """Calls of a tool that one host runs at once, such as {run_python: 2}; others are unlimited."""


@dataclass
class FleetConfig:
    min_rollout_workers: int = 1
    """Rollout workers below which the run ends, resumable."""
    restarts: int = 5
    """Restarts of one worker without five minutes of service in between; then it is retired."""
    data_retries: int = 2
    """Times a group is asked for again after an error that lies in the data."""
    probe_every_s: float = 10.0
    """Have a worker generate one token when nothing was heard of it for so long."""
    max_rollout_workers: int = 0
    """Add and remove rollout workers by measured waiting, up to so many (0: only when asked to)."""
    resources: dict[str, Any] = field(default_factory=dict)
    """Custom Ray resources that each actor of a role reserves, such as {rollout: {rollout: 1}}."""


@dataclass
class DeadlinesConfig:
    """Seconds, nested and checked to be: tool < turn < rollout < group < step < watchdog."""

    tool_s: float = 10.0
    """One tool call."""
    turn_s: float = 60.0
    """An environment's reply to one turn: its begin, or all tool calls of the turn."""
    rollout_s: float = 300.0
    """One sample, all turns."""
    group_s: float = 600.0
    """One group, generation and scoring."""
    step_s: float = 1800.0
    """One training step."""
    watchdog_s: float = 3600.0
    """No progress at all."""


@dataclass
class TasksConfig:
    source: str = "finance"
    """A built-in or installed task source, or "package.module:attribute"."""
    path: str = ""
    """File to load, for every source that reads one; `${oc.env:ASSAY_DATA}` may stand in it."""
    split: str = "train"
    """train in stages, heldout in evaluation; the two never share a task."""
    held_out_share: float = 0.1
    """Share of a file's documents that belong to the held-out split; one for all uses of a file."""
    weight: float = 1.0
    """Share of draws among the task sets of a stage."""
    args: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the source."""


@dataclass
class AlgorithmConfig:
    advantage: str = "grpo"
    """grpo, dr_grpo, rloo, reinforce_pp, or "package.module:attribute"."""
    loss: str = "ppo_clip"
    """ppo_clip, gspo, cispo, reinforce, or "package.module:attribute"."""
    reduction: Reduction = Reduction.TOKEN
    """From token losses to a number: token mean, mean of sequence means, sum over a constant."""
    clip_low: float = 0.2
    """Lower clip range of the importance ratio."""
    clip_high: float = 0.28
    """Upper clip range of the importance ratio (DAPO's clip-higher)."""
    dual_clip: float = 0.0
    """Bound on the loss of negative advantages (0: off)."""
    kl_coef: float = 0.0
    """Weight of the KL term against the reference policy (0: no reference model is loaded)."""
    kl_estimator: str = "k3"
    """k1, k2 or k3."""
    importance: ImportanceMode = ImportanceMode.TRUNCATE
    """Correction for the gap between engine and learner log-probabilities."""
    importance_cap: float = 2.0
    """Cap of the correction: truncated at it, or masked over it."""
    trust_engine_logprobs: bool = False
    """Use the engine's log-probabilities, not the learner's own, as the ratio's denominator."""
    overlong_share: float = 0.0
    """Last share of max_tokens over which the length penalty grows to -1 (0: off; DAPO eq. 13)."""
    num_minibatches: int = 1
    """Optimizer steps a batch."""


@dataclass
class CurriculumConfig:
    name: str = "uniform"
    """uniform, pass_rate, last_mean, or "package.module:attribute" (rl; sft draws uniformly)."""
    args: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the curriculum."""
    seed_from: str = ""
    """What is known of the tasks before: a profile, or a run whose last checkpoint knows them."""


@dataclass
class LabelWeightsConfig:
    mode: LabelWeightMode = LabelWeightMode.OFF
    """Weight labels by what the model lacks: in the loss (sft), advantages or sampling (rl)."""
    args: dict[str, Any] = field(default_factory=dict)
    """alpha, beta, gamma, smoothing, floor and reference, see rl/label_weights.py."""


@dataclass
class StageConfig:
    kind: StageKind = StageKind.RL
    """sft or rl."""
    order: int = 0
    """Stages run by rising order."""
    enabled: bool = True
    """False skips the stage."""
    start_from: str = ""
    """Checkpoint whose weights the stage starts from; empty: those of the stage before."""
    steps: int = 100
    """Optimizer batches."""
    max_generated_tokens: int = 0
    """Generated tokens at which the stage ends even before its last step (rl; 0: no such end)."""
    evaluate_every: int = 0
    """Steps between held-out evaluations while the stage runs (rl; 0: only after it)."""
    tasks: dict[str, TasksConfig] = field(default_factory=dict)
    """Task sets by name."""
    thinking_share: float = 0.5
    """Share of prompts in thinking mode; the rest are non-thinking."""
    learning_rate: float = 1e-4
    """Peak learning rate."""
    warmup_steps: int = 10
    """Linear warm-up."""
    schedule: Schedule = Schedule.CONSTANT
    """Decay after warm-up, to min_lr_ratio at the last step."""
    min_lr_ratio: float = 0.1
    """Final learning rate as a share of the peak."""
    batch_size: int = 32
    """Sequences a step (sft) or groups a step (rl)."""
    group_size: int = 8
    """Samples a group (rl)."""
    max_turns: int = 1
    """Turns of the policy; over 1 it may call tools (rl)."""
    max_tokens: int = 128
    """Longest answer in tokens, all turns together (rl)."""
    temperature: float = 1.0
    """Sampling temperature (rl)."""
    max_staleness: int = 0
    """Versions a trained token may lie behind the weights (0: synchronous)."""
    lookahead: int = 1
    """Groups, from the oldest missing one on, that may be consumed next (1: strictly in order)."""
    refill_budget: float = 2.0
    """Groups that may replace dropped ones, in batch_sizes; then the step trains on what it has."""
    max_empty_steps: int = 10
    """Steps in a row without one valid group after which the run stops."""
    keep_zero_variance: bool = False
    """Train groups whose scores are all equal (no gradient) instead of dropping them."""
    constant_tolerance: float = 0.0
    """Scores of a group that spread no more than this count as equal: the noise of a judge."""
    gate: float = 0.02
    """Warn before an rl stage when held-out pass@1 lies under this."""
    algorithm: AlgorithmConfig = field(default_factory=AlgorithmConfig)
    """Advantage, loss and their constants (rl)."""
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)
    """Which task comes next."""
    label_weights: LabelWeightsConfig = field(default_factory=LabelWeightsConfig)
    """More weight for the labels (such as scene and task) that the model is bad at."""


@dataclass
class EvaluationConfig:
    tasks: dict[str, TasksConfig] = field(default_factory=dict)
    """Held-out task sets by name."""
    num_tasks: int = 200
    """Tasks evaluated, spread evenly over the sets."""
    samples: int = 10
    """Samples a task at temperature 1 for pass@1 and pass@k; a greedy one is always added."""
    max_turns: int = 1
    """Turns of the policy; over 1 it may call tools."""
    max_tokens: int = 128
    """Longest answer in tokens, all turns together."""
    thinking_share: float = 0.5
    """Share of prompts in thinking mode."""


@dataclass
class CheckpointConfig:
    every: int = 20
    """Steps between checkpoints; the last step of a stage is always saved."""
    keep: int = 2
    """Checkpoints kept, at least two."""


@dataclass
class TrackingConfig:
    wandb: WandbMode = WandbMode.OFF
    """off, offline or online."""
    wandb_project: str = "assay"
    """Project name there."""
    tensorboard: bool = False
    """Also write TensorBoard event files."""
    trajectories_per_step: int = 4
    """Trajectories written to trajectories.jsonl at each step."""


@dataclass
class RunConfig:
    """The whole configuration of one run."""

    name: str = "run"
    """Name of the run; its files go to that folder within `output`."""
    output: str = "runs"
    """Folder of all runs."""
    seed: int = 17
    """Seed of data order, initial weights and sampling."""
    skip_bad_rows: bool = False
    """Skip and count unusable data rows instead of stopping at the first."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The policy."""
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    """The rollout fleet."""
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    """The learner group."""
    publish: PublishConfig = field(default_factory=PublishConfig)
    """Weight publishing and its verification."""
    reward: RewardConfig = field(default_factory=RewardConfig)
    """The reward fleet."""
    hosts: HostsConfig = field(default_factory=HostsConfig)
    """The fleet of environment hosts: `envs` in `assay scale`."""
    fleet: FleetConfig = field(default_factory=FleetConfig)
    """Supervision of rollout workers, reward workers and environment hosts."""
    deadlines: DeadlinesConfig = field(default_factory=DeadlinesConfig)
    """Longest waits."""
    envs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Environments by name, with arguments: a task set more for all that has max_turns over 1."""
    stages: dict[str, StageConfig] = field(default_factory=dict)
    """Training stages by name."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """Held-out evaluation before the first stage and after each."""
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    """When to save."""
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    """Where metrics go."""
