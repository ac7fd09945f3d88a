"""Component crops: windows of face parts cut from datasets or photo folders."""
