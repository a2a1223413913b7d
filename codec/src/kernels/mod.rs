//! The hot operators behind one interface: what they compute. How is in the backends' modules.
