"""The list of jobs: what is shown, found, chosen, acted upon and taken away as a file."""
