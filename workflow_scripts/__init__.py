from resomap.system import interrupts as interrupts
