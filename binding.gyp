{
  "targets": [
    {
      "target_name": "struprune",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "message": "Building struprune.node with CMake (CMakeLists.txt has the source list)",
          "inputs": ["CMakeLists.txt"],
          "outputs": ["<(PRODUCT_DIR)/struprune.node"],
          "action": ["node", "scripts/compile.js", "--native"]
        }
      ]
    }
  ]
}
