"""What an OpenEvolve evaluator may return beside a plain dict: metrics and artefacts."""

from dataclasses import dataclass, field
from typing import Dict, List, Union


@dataclass
class EvaluationResult:
    """Metrics by name, and texts or bytes that tell more, by name."""

    metrics: Dict[str, float]
    artifacts: Dict[str, Union[str, bytes]] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, metrics: Dict[str, float]) -> "EvaluationResult":
        """The result that has these metrics and nothing else."""
        return cls(metrics=metrics)

    def to_dict(self) -> Dict[str, float]:
        """The metrics alone."""
        return self.metrics

    def has_artifacts(self) -> bool:
        """Whether there is any artefact."""
        return bool(self.artifacts)

    def get_artifact_keys(self) -> List[str]:
        """The names of the artefacts."""
        return list(self.artifacts)

    def get_artifact_size(self, key: str) -> int:
        """The length of one artefact in bytes; 0 if there is none of that name."""
        value = self.artifacts.get(key)
        if value is None:
            return 0
        return len(value if isinstance(value, (bytes, bytearray)) else str(value).encode())

    def get_total_artifact_size(self) -> int:
        """The length of all artefacts in bytes."""
        return sum(self.get_artifact_size(key) for key in self.artifacts)
