"""From result files to tables, intervals, knees and the choice; no torch, no plotting."""
