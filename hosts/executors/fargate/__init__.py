"""The executor for AWS Fargate: every attempt is one ECS task.

`boto3` is imported when a client is made, in the process that needs it, and nowhere else.
"""

from hosts.executors.fargate.executor import FargateExecutor

__all__ = ["FargateExecutor"]
