"""Who did what to which object, when, from where, through which door, and what came of it.

The lowest layer: it knows none of the others. They hand it their acts (`audit.acts`, `audit.objects`), and
how values are masked (`acts.learn`).
"""
