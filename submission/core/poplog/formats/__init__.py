"""What servers write, a file a family. Each says where address and user stand, and what a stranger can write there."""
