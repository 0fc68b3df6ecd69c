"""What this software wrote, opened again: runs to go on with, labels and outlines."""
