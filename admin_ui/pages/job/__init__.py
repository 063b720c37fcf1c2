"""The page of one job, and the page that submits a new one."""
