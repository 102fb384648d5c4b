"""What a lifecycle policy of ECR keeps, as AWS documents its evaluation.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html#lp_evaluation_rules
Neither the emulator nor moto evaluates these policies.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any


def kept(policy: Mapping[str, Any], tags: Sequence[str]) -> list[str]:
    """Return the images that a policy keeps, by their tags.

    Args:
        policy: its rules expire images by their count, of any status or by patterns of their tags.
        tags: the tag of each image in the repository, in the order in which they were pushed.
    """
    expired: set[str] = set()
    protected: set[str] = set()
    for rule in sorted(policy["rules"], key=lambda rule: int(rule["rulePriority"])):
        selection = rule["selection"]
        assert selection["countType"] == "imageCountMoreThan"
        assert rule["action"] == {"type": "expire"}
        patterns = selection.get("tagPatternList", ["*"])
        matching = [tag for tag in tags if all(fnmatchcase(tag, each) for each in patterns)]
        # A rule counts what matches an earlier rule, but cannot expire it.
        expired |= set(matching[: -selection["countNumber"]]) - protected
        protected |= set(matching)
    return [tag for tag in tags if tag not in expired]
